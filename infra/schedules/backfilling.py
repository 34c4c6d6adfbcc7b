"""Backfills: due times of the past that were never fired are fired now, by an operation that can be stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from pydantic import ValidationError
from sqlmodel import Session

from infra.database import audit, ledger, operations, schedule_runs
from infra.database.engine import Database
from infra.database.recovery_tables import Operation
from infra.database.schedule_runs import BACKFILL
from infra.errors import NotPossible
from infra.fitting import DoesNotFit
from infra.schedules import triggers
from infra.schedules.finding import row
from infra.schedules.resuming import require_present
from infra.schedules.views import BackfillView

#: Due times of one backfill.
MOST = 10_000
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_JUST_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a backfill is to fire; worked out beforehand, as that may take a moment."""

    schedule: str
    #: The first moment of the range, and the first one behind it.
    since: datetime
    until: datetime
    #: Due times in it that are neither fired nor ordered, ascending.
    dues: Sequence[datetime]
    #: How many are.
    taken: int

    @property
    def view(self) -> BackfillView:
        """The plan in figures."""
        first, last = (self.dues[0], self.dues[-1]) if self.dues else (None, None)
        return BackfillView(would_fire=len(self.dues), already_there=self.taken, first=first, last=last)


def plan(database: Database, name: str, since: datetime, until: datetime | None) -> Plan:
    """Look what there is to fire from `since` on and before `until`, or before now; changes nothing.

    Raises:
        NotKnown: there is no schedule of this name.
        NotPossible: it is retired, or its trigger is of a newer version.
        DoesNotFit: the range goes backward or into the future, or has too many due times.
    """
    end = until or datetime.now(UTC)
    _check(since, end)
    with database.reading() as session:
        found = row(session, name)
        require_present(found)
        try:
            trigger = triggers.read(found.trigger)
        except ValidationError:
            raise NotPossible("This version cannot read the trigger of this schedule.") from None
        dues = list(islice(trigger.between(since - _JUST_BEFORE, end - _JUST_BEFORE), MOST + 1))
        if len(dues) > MOST:
            raise _wrong("until", f"more than {MOST:,} due times", f"At most {MOST:,} due times are fired at once.")
        taken = ledger.taken(session, name, dues[0], dues[-1]) if dues else set()
    missing = [due for due in dues if due not in taken]
    return Plan(name, since, end, missing, len(dues) - len(missing))


def start(session: Session, wanted: Plan, *, who: str, why: str) -> Operation:
    """Order what is planned, and nothing that was fired or ordered since; schedulers fire it within seconds.

    Raises:
        NotKnown: the schedule was removed since.
        NotPossible: it was retired since.
    """
    require_present(row(session, wanted.schedule))
    operation_id = operations.new_id()
    ordered = schedule_runs.order(
        session, wanted.schedule, wanted.dues, BACKFILL, note=f"{who}: {why}", operation_id=operation_id
    )
    request = {
        "schedule": wanted.schedule,
        "since": wanted.since.isoformat(),
        "until": wanted.until.isoformat(),
    }
    operation = operations.add(session, operations.BACKFILL, request, operation_id=operation_id, total=len(ordered))
    details = {"operation": operation_id, "total": len(ordered), **request}
    audit.write(session, who=who, action="schedule.backfill", target=wanted.schedule, why=why, details=details)
    return operation


def _check(since: datetime, until: datetime) -> None:
    if since < _EARLIEST:
        raise _wrong("since", "before 1970", "It must not be before 1970.")
    if until > datetime.now(UTC):
        raise _wrong("until", "in the future", "It must not be in the future.")
    if until <= since:
        raise _wrong("until", "not later than since", "It must be later than since.")


def _wrong(field: str, kind: str, text: str) -> DoesNotFit:
    return DoesNotFit([((field,), kind, text)])
