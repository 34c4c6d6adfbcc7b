"""The duty that follows backfills: the relay sends, and this counts how it ends, and says when it is over."""

from datetime import UTC, datetime, timedelta

import structlog
from sqlmodel import Session

from infra.database import backfills, consumers, operations, pauses
from infra.database.consumer_tables import Backfill
from infra.database.engine import Database
from infra.database.recovery_tables import Operation
from infra.errors import DatabaseUnavailable

_log = structlog.get_logger(__name__)
#: Seconds between two steps: while a backfill runs, and while there is none.
FOLLOWING, IDLE = 0.3, 1.0
#: How often an operation in which nothing happens says that it is worked on.
SIGN_OF_LIFE = timedelta(seconds=5)


class Backfilling:
    """Everything that counts is in the tables: whoever has the duty next goes on where this one ended."""

    def __init__(self, database: Database, *, grace: float) -> None:
        """Remember; `grace` is the sweep's, in seconds: what was lost on its way is sent again after so long."""
        self._database = database
        self._grace = grace

    def step(self) -> float:
        """Bring each open backfill up to date."""
        with self._database.reading() as session:
            found = operations.open_ids(session, operations.PAST)
        for operation_id in found:
            self._follow(operation_id)
        return FOLLOWING if found else IDLE

    def _follow(self, operation_id: str) -> None:
        try:
            with self._database.transaction() as session:
                self._step(session, operation_id)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # a fault of ours in one operation must not keep the others waiting
            _log.exception("backfill failed", operation=operation_id)
            with self._database.transaction() as session:
                _fail(session, operation_id, error)

    def _step(self, session: Session, operation_id: str) -> None:
        operation = operations.find(session, operation_id, lock=True)
        if operation is None or operation.state not in operations.OPEN:
            return
        row = backfills.find(session, operation_id)
        if row is None:
            raise LookupError("The backfill of an operation is gone.")
        before = operation.model_dump()
        under_way = _count(session, operation, row)
        if reason := _reason_to_stop(session, operation, row):
            _stop(operation, reason, under_way)
        elif row.joined and row.sent >= row.until and not under_way:
            _end(session, operation)
        else:
            operation.message = self._where_it_stands(session, row, under_way)
        if operation.model_dump() != before or datetime.now(UTC) - operation.updated_at > SIGN_OF_LIFE:
            operations.write(session, operation)

    def _where_it_stands(self, session: Session, row: Backfill, under_way: int) -> str:
        if not row.joined:
            return "waits for the relay, which binds the queue first"
        parts = [f"{under_way:,} on their way"]
        if row.consumer in pauses.paused(session):
            parts.append("the consumer is paused")
        elif row.sent >= row.until:
            parts.append(f"all is sent; what was lost on its way is sent again after about {self._grace:.0f} s")
        return "; ".join(parts)


def _count(session: Session, operation: Operation, row: Backfill) -> int:
    """How many are on their way; what has ended is counted."""
    under_way, first = backfills.not_ended(session, row)
    operation.failed = backfills.failed(session, row)
    operation.handled = max(0, operation.sent - under_way - operation.failed)
    upto = row.sent if first is None else first - 1
    if upto > row.settled:
        backfills.settle(session, row.operation_id, upto)
    return under_way


def _reason_to_stop(session: Session, operation: Operation, row: Backfill) -> str | None:
    if operation.state == "stopping":
        return "an operator stopped it"
    recorded = next((each for each in consumers.everyone(session) if each.consumer == row.consumer), None)
    if recorded is None:
        return "no consumer of this name is recorded any more"
    return "the consumer is retiring" if recorded.retiring_since is not None else None


def _stop(operation: Operation, reason: str, under_way: int) -> None:
    operation.state = "stopped"
    left = max(0, operation.total - operation.sent)
    going_on = f"; {under_way:,} on their way end by themselves" if under_way else ""
    operation.message = f"{reason}; {left:,} were not sent{going_on}"


def _end(session: Session, operation: Operation) -> None:
    others = operation.total - operation.sent
    operation.state, operation.total = "done", operation.sent
    failed = f", {operation.failed:,} failed and wait in the dead letters" if operation.failed else ""
    settled = f"; {others:,} were settled before they were sent" if others > 0 else ""
    operation.message = f"{operation.handled:,} handled{failed}{settled}"
    backfills.remove(session, operation.id)


def _fail(session: Session, operation_id: str, error: Exception) -> None:
    operation = operations.find(session, operation_id, lock=True)
    if operation is not None:
        operation.state = "failed"
        operation.message = f"a fault of ours ({type(error).__name__}; see the log)"
        operations.write(session, operation)
