"""Operations that go on where they were stopped: backfills of consumers, whose place is kept."""

from sqlmodel import Session

from infra.database import audit, backfills, operations
from infra.database.recovery_tables import Operation
from infra.database.tables import Subscription
from infra.errors import NotKnown, NotPossible
from infra.recovery.replaying import find_operation


def resume(session: Session, operation_id: str, *, who: str, why: str) -> Operation:
    """Let a stopped backfill go on.

    Raises:
        NotKnown: there is no such operation, or its consumer is gone.
        NotPossible: it is of another kind, is not stopped, or its consumer is retiring or has another backfill.
    """
    operation = find_operation(session, operation_id)
    if operation.kind != operations.PAST:
        raise NotPossible("Only a backfill of a consumer keeps its place: begin a new operation for what is left.")
    row = backfills.find(session, operation_id)
    if operation.state != "stopped" or row is None:
        raise NotPossible(f"Only an operation that is stopped can go on: this one is {operation.state}.")
    require_free(session, row.consumer)
    if not operations.resume(session, operation_id):
        raise NotPossible("This operation has just been resumed.")
    backfills.wake(session)
    audit.write(session, who=who, action="operation.resume", target=operation_id, why=why)
    return find_operation(session, operation_id)


def require_free(session: Session, consumer: str) -> None:
    """Refuse a second backfill of a consumer while one runs; holds others off until the transaction ends.

    Raises:
        NotKnown: no consumer of this name is recorded.
        NotPossible: it is retiring, or a backfill of it runs already.
    """
    require_present(backfills.lock(session, consumer))
    if (other := backfills.open_of(session, consumer)) is not None:
        raise NotPossible(f"A backfill of this consumer runs already, the operation {other}: stop it, or wait.")


def require_present(row: Subscription | None) -> Subscription:
    """Refuse a consumer that is none, or will soon be none.

    Raises:
        NotKnown: no consumer of this name is recorded.
        NotPossible: it is retiring.
    """
    if row is None:
        raise NotKnown("No consumer has this name.")
    if row.retiring_since is not None:
        raise NotPossible("This consumer is retiring: it is sent nothing more.")
    return row
