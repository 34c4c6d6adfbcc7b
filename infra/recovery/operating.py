"""The duty that works off operations: sends what is queued at its pace, counts how it ends, and knows when to stop."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from sqlmodel import Session

from infra.database import chosen, operations, replays, resends
from infra.database.engine import Database
from infra.database.recovery_tables import Operation
from infra.errors import DatabaseUnavailable
from infra.pacing import Pace
from infra.recovery import stopping

_log = structlog.get_logger(__name__)
#: Letters that are sent in one transaction.
BATCH = 200
#: Messages that may wait for the relay before further ones are begun.
BACKLOG = 1_000
#: Seconds between two steps: while letters are sent, while their end is awaited, and while there is no operation.
SENDING, AWAITING, IDLE = 0.1, 0.3, 1.0
#: How often an operation in which nothing happens says that it is worked on.
SIGN_OF_LIFE = timedelta(seconds=5)


class Operating:
    """Everything that counts is in the tables: whoever has the duty next goes on where this one ended."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._paces: dict[str, Pace] = {}

    def step(self) -> float:
        """Bring each open operation a little further."""
        with self._database.reading() as session:
            waiting = operations.open_ids(session, operations.REPLAY)
        self._paces = {each: pace for each, pace in self._paces.items() if each in waiting}
        return min([self._further(each) for each in waiting], default=IDLE)

    def _further(self, operation_id: str) -> float:
        try:
            with self._database.transaction() as session:
                return self._step(session, operation_id)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # a fault of ours in one operation must not keep the others waiting
            _log.exception("operation failed", operation=operation_id)
            with self._database.transaction() as session:
                _fail(session, operation_id, error)
            return AWAITING

    def _step(self, session: Session, operation_id: str) -> float:
        operation = operations.find(session, operation_id, lock=True)
        if operation is None or operation.state not in operations.OPEN:
            return IDLE
        before = operation.model_dump()
        # In this order: what ends in between counts as under way, so that no canary passes that has failed.
        under_way = chosen.on_their_way(session, operation_id)
        ended = chosen.count_ended(session, operation_id)
        operation.handled += ended.handled
        operation.failed += ended.failed
        if reason := stopping.reason(session, operation, under_way):
            _stop(session, operation, reason, under_way)
            sent = 0
        else:
            sent = self._send(session, operation, under_way)
            _judge(session, operation, under_way)
        if operation.model_dump() != before or datetime.now(UTC) - operation.updated_at > SIGN_OF_LIFE:
            operations.write(session, operation)
        return SENDING if sent else AWAITING

    def _send(self, session: Session, operation: Operation, under_way: int) -> int:
        """Send as many as may be sent now; gives how many have left the queue."""
        pace = self._pace(operation)
        room = min(BATCH, BACKLOG - resends.count(session), stopping.room(operation, under_way))
        most = min(room, pace.allowed(self._clock()))
        ids = chosen.next_ids(session, operation.id, most) if most > 0 else []
        if not ids:
            return 0
        force = bool(operation.request.get("force"))
        begun = replays.begin(session, ids, force=force)
        operation.sent += begun
        pace.took(begun)
        if begun < len(ids):  # the others are closed as handled, or their consumer has gone since
            operation.failed += chosen.give_these_back(session, ids)
        return len(ids)

    def _pace(self, operation: Operation) -> Pace:
        if operation.id not in self._paces:
            self._paces[operation.id] = Pace(operation.request.get("rate"), self._clock())
        return self._paces[operation.id]


def _judge(session: Session, operation: Operation, under_way: int) -> None:
    """Say where it stands, and end it when nothing is left."""
    if not chosen.are_left(session, operation.id):
        operation.state = "done"
        failed = f", {operation.failed} failed and wait again" if operation.failed else ""
        operation.message = f"{operation.handled} handled{failed}"
    elif stopping.is_canary(operation):
        operation.message = f"canary: {operation.handled} of {operation.request['canary']} handled"
    else:
        operation.message = f"{under_way} on their way"


def _stop(session: Session, operation: Operation, reason: str, under_way: int) -> None:
    waiting = chosen.give_back(session, operation.id)
    chosen.let_go(session, operation.id)
    operation.state = "stopped"
    going_on = f"; {under_way} on their way end by themselves" if under_way else ""
    operation.message = f"{reason}; {waiting} not sent wait again{going_on}"


def _fail(session: Session, operation_id: str, error: Exception) -> None:
    operation = operations.find(session, operation_id, lock=True)
    if operation is not None:
        _stop(session, operation, f"a fault of ours ({type(error).__name__}; see the log)", 0)
        operation.state = "failed"
        operations.write(session, operation)
