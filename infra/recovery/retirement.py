"""The duty that works retirements off: unbinds, waits or moves what is left, and removes the consumer when nothing is.

Everything that counts is in the tables and on the broker, so whoever has the duty next goes on where this one ended. A
consumer may be forgotten when each event up to its retirement is settled, when none of its retries is to return, when
its queue is empty, and when no handler is at work any more.
"""

import time
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import structlog
from sqlmodel import Session

from events.envelope import event_types
from infra.database import consumers, job_leases, operations, pauses, retirements
from infra.database.engine import Database
from infra.database.pauses import OPERATOR
from infra.database.recovery_tables import Operation
from infra.database.tables import Subscription
from infra.errors import BrokerUnavailable, DatabaseUnavailable
from infra.rabbitmq import moving
from infra.rabbitmq.dead_letters import given_up
from infra.rabbitmq.topology import EVENTS, OpenChannel
from infra.recovery import leftovers, remaining
from infra.recovery.leftovers import RETIRED
from infra.recovery.remaining import Left
from infra.subscriptions import EVERY_TYPE

T = TypeVar("T")
_log = structlog.get_logger(__name__)
#: Seconds between two steps: while there is work, while something is awaited, and while nobody retires.
WORKING, AWAITING, IDLE = 0.1, 1.0, 2.0
#: Seconds between two signs of life of the consumers of this program.
TOUCH_EVERY = 30.0
#: The reason of the pause that lets go of the queue.
REASON = "it is being retired"
#: Seconds for which a look at its retries holds.
LOOK_EVERY = 5.0
#: How long a program may take to notice: one that looks at the broker may be about to declare the queue again.
NOTICED = timedelta(seconds=8)
#: How long a handler may take, when nothing is known.
_TIMEOUT = 60.0


class Broker(Protocol):
    """Does things with queues; `infra.rabbitmq.blocking.BlockingPublisher` does."""

    def work(self, job: Callable[[OpenChannel], Awaitable[T]]) -> T:
        """Do something on channels of a connection, and wait for it."""


class Retirement:
    """Works on every open retirement; `names` are the consumers of this program, `grace` is in seconds."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        names: Collection[str],
        *,
        grace: float,
        noticed: timedelta = NOTICED,
    ) -> None:
        self._database = database
        self._broker = broker
        self._names = names
        self._grace = grace
        self._noticed = noticed
        self._touched_at = 0.0
        #: Operation -> since when nobody takes from the queue, and since when events are open that are nowhere.
        self._quiet: dict[str, float] = {}
        self._nowhere: dict[str, float] = {}
        #: Consumer -> when its retries were looked for, and when the last of them returns.
        self._looked: dict[str, tuple[float, datetime | None]] = {}

    def step(self) -> float:
        """Bring each open retirement a little further."""
        if self._names and time.monotonic() >= self._touched_at + TOUCH_EVERY:
            self._touched_at = time.monotonic()
            self._database.run(partial(consumers.touch, names=sorted(self._names)))
        with self._database.reading() as session:
            waiting = operations.open_ids(session, operations.RETIRE)
        return min([self._further(each) for each in waiting], default=IDLE)

    def _further(self, operation_id: str) -> float:
        with self._database.reading() as session:
            operation = operations.find(session, operation_id)
            row = None if operation is None else retirements.find(session, operation.request["consumer"])
        if operation is None or operation.state not in operations.OPEN:
            return IDLE
        if row is None or row.retiring_since is None:
            operation.handled = operation.total
            return self._write(operation, "done", "it is gone")
        try:
            return self._step(operation, row)
        except DatabaseUnavailable:
            raise
        except BrokerUnavailable as error:
            return self._write(operation, "running", f"waits for RabbitMQ: {error}")

    def _step(self, operation: Operation, row: Subscription) -> float:
        if operation.state == "stopping":
            self._database.run(partial(_take_back, operation=operation, consumer=row.consumer))
            return AWAITING
        level = self._broker.work(partial(moving.level, queue=row.consumer))
        if level is not None:
            self._broker.work(partial(moving.unbind, queue=row.consumer, bindings=_bindings(row)))
        until = operation.request["until"]
        more = remaining.scan(self._database, row, until)
        left = remaining.left(self._database, row, until, level, self._returns_at(row.consumer))
        operation.handled = max(operation.handled, operation.total - 1 - min(left.open, operation.total - 1))
        if operation.request["drain"] and not (left.is_nothing or self._is_let_go(row.consumer)):
            return self._write(operation, "running", self._draining(row.consumer, left))
        return WORKING if more else self._clear(operation, row, left)

    def _clear(self, operation: Operation, row: Subscription, left: Left) -> float:
        """Take the workers off, move on what is left, and when that is nothing remove the consumer."""
        self._let_go(operation, row, left)
        moved = self._give_up(row.consumer, left)
        if moved:
            operation.sent += moved
            self._write(operation, "running", f"{operation.sent} moved to the dead letters")
            return WORKING
        if left.returns:
            return self._write(operation, "running", f"waits for retries, the last at {left.returns_at:%H:%M:%S}Z")
        if left.workers or time.monotonic() < self._quiet[operation.id] or self._has_jobs(row.consumer):
            return self._write(operation, "running", "waits for what is at work")
        if left.open:
            return self._look_for_lost(operation, row, left)
        if datetime.now(UTC) < (row.retiring_since or row.declared_at) + self._noticed:
            return self._write(operation, "running", "waits until every program has noticed")
        return self._remove(operation, row)

    def _give_up(self, consumer: str, left: Left) -> int:
        moved = self._database.run(partial(leftovers.give_up_elsewhere, consumer=consumer)) if left.elsewhere else 0
        if left.queued:
            moved += self._broker.work(partial(moving.move, queue=consumer, turn=_turn(consumer)))
        return moved

    def _look_for_lost(self, operation: Operation, row: Subscription, left: Left) -> float:
        """Open and in no place: on its way to the keeper, or lost, which shows after the grace time."""
        since = self._nowhere.setdefault(operation.id, time.monotonic())
        if time.monotonic() < since + self._grace:
            return self._write(operation, "running", f"{left.open} are on their way to the dead letters, or lost")
        operation.sent += self._database.run(partial(leftovers.give_up_lost, consumer=row.consumer))
        return self._write(operation, "running", f"{operation.sent} moved to the dead letters")

    def _remove(self, operation: Operation, row: Subscription) -> float:
        self._looked.pop(row.consumer, None)
        if remaining.is_to_come(self._returns_at(row.consumer)):
            return AWAITING
        gone = self._broker.work(partial(moving.finish, queue=row.consumer, turn=_turn(row.consumer)))
        if gone:
            _log.error("messages came while the queue was deleted", consumer=row.consumer, messages=gone)
        self._database.run(partial(retirements.remove, consumer=row.consumer))
        _log.info("consumer retired", consumer=row.consumer, dead_letters=operation.sent)
        operation.handled = operation.total
        letters = f"; {operation.sent} moved to the dead letters" if operation.sent else ""
        return self._write(operation, "done", f"{row.consumer} is gone{letters}")

    def _let_go(self, operation: Operation, row: Subscription, left: Left) -> None:
        """Pause it in every process; what is at work then ends within the handler's timeout."""
        if self._database.run(partial(pauses.pause, consumer=row.consumer, by=OPERATOR, reason=REASON)):
            self._quiet[operation.id] = time.monotonic() if not left.workers else 0.0
        # Of jobs those that are at work are known, however long they may take.
        timeout = _TIMEOUT if row.options.get("job") else float(row.options.get("timeout", _TIMEOUT))
        if left.workers or operation.id not in self._quiet:
            self._quiet[operation.id] = time.monotonic() + timeout
        if left.queued or left.returns:
            self._nowhere.pop(operation.id, None)

    def _has_jobs(self, consumer: str) -> bool:
        with self._database.reading() as session:
            return job_leases.any_held(session, consumer)

    def _is_let_go(self, consumer: str) -> bool:
        with self._database.reading() as session:
            pause = pauses.paused(session).get(consumer)
        return pause is not None and pause.reason == REASON

    def _draining(self, consumer: str, left: Left) -> str:
        if not left.workers and left.queued:
            return f"{left.queued} wait and no worker takes them: stop this, and retire {consumer} --to-dead-letters"
        returns = f", the last retry at {left.returns_at:%H:%M:%S}Z" if left.returns else ""
        return f"{left.open} to be handled{returns}"

    def _returns_at(self, consumer: str) -> datetime | None:
        """When its last retry returns; it takes a walk through the inbox, so a look holds for a while."""
        at, found = self._looked.get(consumer, (-LOOK_EVERY, None))
        if time.monotonic() >= at + LOOK_EVERY:
            with self._database.reading() as session:
                found = retirements.last_return(session, consumer)
            self._looked[consumer] = time.monotonic(), found
        return found

    def _write(self, operation: Operation, state: str, message: str) -> float:
        operation.state, operation.message = state, message
        self._database.run(partial(_write, operation=operation))
        if state != "running":
            self._quiet.pop(operation.id, None)
            self._nowhere.pop(operation.id, None)
        return AWAITING


def _bindings(row: Subscription) -> list[tuple[str, str]]:
    return [(EVENTS, key) for key in sorted({EVERY_TYPE, *event_types(), *row.types})]


def _turn(consumer: str) -> moving.Turn:
    return partial(given_up, consumer=consumer, park=RETIRED)


def _write(session: Session, operation: Operation) -> None:
    """What an operator has asked for meanwhile stands."""
    now = operations.find(session, operation.id, lock=True)
    if now is not None and now.state == "stopping" and operation.state == "running":
        operation.state = "stopping"
    operations.write(session, operation)


def _take_back(session: Session, operation: Operation, consumer: str) -> None:
    retirements.take_back(session, consumer)
    pause = pauses.paused(session).get(consumer)
    if pause is not None and pause.reason == REASON:
        pauses.resume(session, consumer)
    operation.state, operation.message = "stopped", "it is a consumer again; the sweep sends what it missed"
    operations.write(session, operation)
