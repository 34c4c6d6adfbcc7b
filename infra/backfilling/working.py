"""The duty that follows backfills: the relay sends, and this counts how it ends, and says when it is over."""

from dataclasses import dataclass
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
            with self._database.reading() as session:
                seen = _look(session, operation_id)
            with self._database.transaction() as session:
                self._write(session, operation_id, seen)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # a fault of ours in one operation must not keep the others waiting
            _log.exception("backfill failed", operation=operation_id)
            with self._database.transaction() as session:
                _fail(session, operation_id, error)

    def _write(self, session: Session, operation_id: str, seen: "_Seen") -> None:
        """With the operation locked, which the relay waits for, so nothing is counted here."""
        operation = operations.find(session, operation_id, lock=True)
        if operation is None or operation.state not in operations.OPEN:
            return
        before = operation.model_dump()
        operation.failed, operation.handled = seen.failed, seen.handled
        if seen.settled > seen.row.settled:
            backfills.settle(session, operation_id, seen.settled)
        if reason := "an operator stopped it" if operation.state == "stopping" else seen.reason:
            _stop(operation, reason, seen.under_way)
        elif seen.has_ended:
            _end(session, operation)
        else:
            operation.message = self._where_it_stands(session, seen.row, seen.under_way)
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


@dataclass(frozen=True, slots=True)
class _Seen:
    """A backfill as it was a moment ago."""

    row: Backfill
    #: Events that were sent and have not ended; of those that have, how many failed, and how many did not.
    under_way: int
    failed: int
    handled: int
    #: Up to where all is settled.
    settled: int
    #: Why it must stop.
    reason: str | None

    @property
    def has_ended(self) -> bool:
        """All is sent, and all that was sent has ended."""
        return self.row.joined and self.row.sent >= self.row.until and not self.under_way


def _look(session: Session, operation_id: str) -> _Seen:
    """In this order: what is sent meanwhile counts as on its way, and never as handled."""
    operation, row = operations.find(session, operation_id), backfills.find(session, operation_id)
    if operation is None or row is None:
        raise LookupError("The backfill of an operation is gone.")
    under_way, first = backfills.not_ended(session, row)
    failed = backfills.failed(session, row)
    handled = max(0, operation.sent - under_way - failed)
    settled = row.sent if first is None else first - 1
    return _Seen(row, under_way, failed, handled, settled, _reason_to_stop(session, row))


def _reason_to_stop(session: Session, row: Backfill) -> str | None:
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
