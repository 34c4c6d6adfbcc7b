"""Resuming: a schedule fires again from now on, and what was due while it was paused is written down as a gap."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from pydantic import ValidationError
from sqlmodel import Session

from infra.database import audit, schedule_gaps, schedule_runs, schedules
from infra.database.engine import Database
from infra.database.schedule_gaps import PAUSED
from infra.database.schedule_tables import Schedule, ScheduleGap
from infra.errors import NotPossible
from infra.schedules import triggers
from infra.schedules.finding import row
from infra.schedules.triggers import Every, Trigger

#: Due times that are counted one by one, which takes 10 s at most; of more, the number is worked out from their pace.
COUNTED = 1_000_000


@dataclass(frozen=True, slots=True)
class Resumption:
    """A schedule that is about to be resumed, with what was worked out beforehand, as that may take a while."""

    schedule: Schedule
    #: From when on its due times count.
    at: datetime
    gap: ScheduleGap | None


def prepare(database: Database, name: str) -> Resumption:
    """Look what was due while this schedule was paused; changes nothing.

    Raises:
        NotKnown: there is none of this name.
        NotPossible: it is not paused, or retired.
    """
    with database.reading() as session:
        found = row(session, name)
        require_paused(found)
        now = datetime.now(UTC)
        decided = schedule_runs.newest_due(session, upto=now, names=[name]).get(name, found.counts_from)
    return Resumption(found, now, _gap(found, max(decided, found.counts_from), now))


def resume(session: Session, prepared: Resumption, *, who: str, why: str) -> None:
    """Let the schedule fire again.

    Raises:
        NotKnown: it was removed since.
        NotPossible: it was changed since.
    """
    before = row(session, prepared.schedule.name, lock=True)
    require_paused(before)
    if before.version != prepared.schedule.version:
        raise NotPossible("This schedule was changed at the same moment: try again.")
    schedules.resume(session, before.name, now=prepared.at)
    if prepared.gap is not None:
        schedule_gaps.add(session, prepared.gap)
    assert before.paused_at is not None
    details = {
        "paused_by": before.paused_by,
        "paused_since": before.paused_at.isoformat(),
        "paused_because": before.paused_why,
        "passed": prepared.gap.due if prepared.gap else 0,
    }
    audit.write(session, who=who, action="schedule.resume", target=before.name, why=why, details=details)


def require_paused(found: Schedule) -> None:
    """Refuse one that cannot be resumed.

    Raises:
        NotPossible: says why.
    """
    require_present(found)
    if found.paused_at is None:
        raise NotPossible("This schedule is not paused.")


def require_present(found: Schedule) -> None:
    """Refuse one that the code does not have any more.

    Raises:
        NotPossible: says so.
    """
    if found.retired_at is not None:
        raise NotPossible("This schedule is retired: the code does not have it any more.")


def _gap(found: Schedule, after: datetime, upto: datetime) -> ScheduleGap | None:
    try:
        trigger = triggers.read(found.trigger)
    except ValidationError:  # a newer program wrote it
        return None
    first, last = trigger.next_after(after), trigger.last_upto(upto)
    if first is None or last is None or last < first:
        return None
    due = _count(trigger, after, upto)
    return schedule_gaps.new(
        schedule=found.name, reason=PAUSED, first=first, last=last, due=due, fired=0, policy=found.missed
    )


def _count(trigger: Trigger, after: datetime, upto: datetime) -> int:
    if isinstance(trigger, Every):
        return trigger.count(after, upto)
    dues = trigger.between(after, upto)
    number = sum(1 for _ in islice(dues, COUNTED))
    beyond = next(dues, None)
    return number if beyond is None else round(number * ((upto - after) / (beyond - after)))
