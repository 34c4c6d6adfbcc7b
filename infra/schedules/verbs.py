"""What operators do to schedules: pause, run now, add and remove; over HTTP and by command."""

from datetime import UTC, datetime

from sqlmodel import Session

from infra.database import audit, ledger, operations, schedule_runs, schedules
from infra.database.schedule_runs import MANUAL
from infra.database.schedules import CODE, Definition
from infra.errors import NotPossible
from infra.jobs import timed
from infra.schedules.finding import row
from infra.schedules.resuming import require_present
from infra.schedules.views import RunView

#: Why the orders of a schedule that is gone are cancelled.
_REMOVED = "The schedule was removed."


def pause(session: Session, name: str, *, who: str, why: str) -> None:
    """Have a schedule fire no due time any more, in every replica at once, until it is resumed.

    Raises:
        NotKnown: there is none of this name.
        NotPossible: it is paused already, or retired.
    """
    require_present(row(session, name))
    if not schedules.pause(session, name, who, why):
        raise NotPossible("This schedule is paused already.")
    audit.write(session, who=who, action="schedule.pause", target=name, why=why)


def run(session: Session, name: str, *, who: str, why: str) -> RunView:
    """Order a run of now: a scheduler fires it within a second, whether the schedule is paused or not.

    Raises:
        NotKnown: there is none of this name.
        NotPossible: it is retired.
    """
    require_present(row(session, name))
    due = datetime.now(UTC)
    if not schedule_runs.order(session, name, [due], MANUAL, note=f"{who}: {why}"):
        raise NotPossible("This schedule has a run of this very moment: try again.")
    (ordered,) = ledger.page(session, name, ledger.Filter(state="ordered", kind=MANUAL, since=due), limit=1)
    details = {"due_at": due.isoformat(), "event_id": ordered.event_id}
    audit.write(session, who=who, action="schedule.run", target=name, why=why, details=details)
    return RunView.of(ordered)


def add(session: Session, definition: Definition, *, who: str, why: str) -> None:
    """Add a schedule, which fires from now on.

    Raises:
        DoesNotFit: its name, its type or its data are wrong.
        NotPossible: the name is taken.
    """
    timed.check(session, definition.type, definition.data or {})
    if not schedules.add(session, definition):
        raise NotPossible("A schedule of this name exists already.")
    details = {"trigger": dict(definition.trigger), "type": definition.type}
    audit.write(session, who=who, action="schedule.add", target=definition.name, why=why, details=details)


def remove(session: Session, name: str, *, who: str, why: str) -> None:
    """Remove a schedule that an operator added; its runs stay in the ledger, what was ordered is cancelled.

    Raises:
        NotKnown: there is none of this name.
        NotPossible: it is made in code.
    """
    found = row(session, name, lock=True)
    if found.origin == CODE:
        raise NotPossible("This schedule is made in code: it can be paused, not deleted.")
    schedules.remove(session, name)
    cancelled = schedule_runs.cancel_orders_of(session, name, _REMOVED)
    for operation_id in cancelled:
        if operation_id is not None:
            operations.ask_to_stop(session, operation_id)
    details = {"trigger": found.trigger, "type": found.type, "cancelled": cancelled.total()}
    audit.write(session, who=who, action="schedule.remove", target=name, why=why, details=details)
