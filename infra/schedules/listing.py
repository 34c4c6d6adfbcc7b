"""Reading schedules, their runs and their gaps, a page at a time: for HTTP and commands."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from infra.database import ledger, schedule_gaps, schedules
from infra.database.schedule_tables import Schedule
from infra.recovery import deliveries
from infra.schedules.finding import row
from infra.schedules.views import GapView, LastRunView, RunView, ScheduleView, view
from infra.subscriptions import is_name


def page(
    session: Session, wanted: schedules.Filter, *, after: str | None = None, limit: int = 50
) -> list[ScheduleView]:
    """Schedules by name, those that come after one."""
    return _views(session, schedules.page(session, wanted, after=after, limit=limit))


def find(session: Session, name: str) -> ScheduleView:
    """One schedule.

    Raises:
        NotKnown: there is none of this name.
    """
    (found,) = _views(session, [row(session, name)])
    return found


def runs(
    session: Session, name: str, wanted: ledger.Filter, *, before: datetime | None = None, limit: int = 50
) -> list[RunView]:
    """The runs of a schedule, the newest due time first; those of one that was removed, too.

    Raises:
        NotKnown: there is none of this name, and no run of one that was.
    """
    _require_known(session, name)
    return [RunView.of(run) for run in ledger.page(session, name, wanted, before=before, limit=limit)]


def gaps(session: Session, name: str, *, before: str | None = None, limit: int = 50) -> list[GapView]:
    """What was missed of a schedule, what was found last first; of one that was removed, too.

    Raises:
        NotKnown: there is none of this name, and no run of one that was.
    """
    _require_known(session, name)
    found = schedule_gaps.page(session, schedule=name, before=before, limit=limit)
    return [GapView.model_validate(each) for each in found]


def _require_known(session: Session, name: str) -> None:
    if not (is_name(name) and ledger.knows(session, name)):
        row(session, name)


def _views(session: Session, rows: Sequence[Schedule]) -> list[ScheduleView]:
    last = ledger.last(session, [each.name for each in rows])
    outcomes = deliveries.of(session, [run.event_id for run in last.values()])
    missed = schedule_gaps.counts(session)
    return [
        view(
            each,
            LastRunView.of(run, consumers=outcomes.get(run.event_id, [])) if (run := last.get(each.name)) else None,
            missed.get(each.name, 0),
        )
        for each in rows
    ]
