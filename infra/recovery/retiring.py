"""Retiring: a consumer is given nothing new, what is left for it is handled or given up, and then it is gone."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from infra.database import audit, consumers, event_log, operations, positions, retirements
from infra.database.recovery_tables import Operation
from infra.database.tables import Subscription
from infra.errors import NotKnown, NotPossible

#: How long after the last sign of it a program with the consumer's module counts as running; it gives one each 30 s.
SEEN = timedelta(minutes=2)


def start(session: Session, name: str, *, drain: bool, who: str, why: str) -> Operation:
    """Begin to retire a consumer; `drain`: its workers handle what is left, else that goes to the dead letters.

    Raises:
        NotKnown: no consumer of this name is recorded.
        NotPossible: it is being retired already.
    """
    row = _found(session, name)
    if not retirements.begin(session, name):
        raise NotPossible(f"{name} is being retired already: ./tidings operations list shows how far it is.")
    last = event_log.last_position(session)
    open_now = positions.of(session, row, last).lag_events
    request = {"consumer": name, "drain": drain, "until": last}
    # One more for the queue itself, so that there is something to do when nothing waits.
    operation = operations.add(
        session, operations.RETIRE, request, operation_id=operations.new_id(), total=open_now + 1
    )
    details = {"operation": operation.id, "drain": drain, "open": open_now, "types": row.types}
    audit.write(session, who=who, action=operations.RETIRE, target=name, why=why, details=details)
    return operation


def require_absent(name: str, subscribed: Collection[str]) -> None:
    """Refuse as long as a module that was found subscribes it: it would be declared again.

    Raises:
        NotPossible: one does.
    """
    if name in subscribed:
        raise NotPossible(f"A module here still subscribes {name}: remove it first, and restart the consumers.")


def require_readable(session: Session, name: str, ignored: Collection[str]) -> None:
    """Refuse when the module that subscribed it is here, and cannot be used: nobody knows what it says.

    Raises:
        NotKnown: no consumer of this name is recorded.
        NotPossible: it is.
    """
    module = _found(session, name).options.get("module")
    if module in ignored:
        raise NotPossible(f"The module of {name}, {module}, is here and cannot be used: mend it, or remove it.")


def require_unseen(session: Session, name: str) -> None:
    """Refuse as long as a consumers program with its module is at work: its next start would declare it again.

    Raises:
        NotKnown: no consumer of this name is recorded.
        NotPossible: one is.
    """
    seen = _found(session, name).seen_at
    if seen is not None and seen > datetime.now(UTC) - SEEN:
        raise NotPossible(
            f"A consumers program with the module of {name} was at work {_ago(seen)} s ago: remove it and restart that "
            f"program, then wait two minutes; or say force."
        )


def _found(session: Session, name: str) -> Subscription:
    # Names come from strangers, and the database refuses some texts: so they are compared here.
    row = next((each for each in consumers.everyone(session) if each.consumer == name), None)
    if row is None:
        raise NotKnown("No consumer has this name.")
    return row


def _ago(moment: datetime) -> int:
    return max(0, round((datetime.now(UTC) - moment).total_seconds()))
