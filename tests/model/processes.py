"""Processes that die: our own code on a real database, until a failpoint ends it and nothing of it goes on."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar, cast

from pika.spec import Basic, BasicProperties
from sqlmodel import Session

from infra import faults
from infra.database.engine import Database
from infra.errors import DatabaseUnavailable, NotConfirmed
from infra.faults import FaultInjected
from infra.outcomes import Incoming, Outcome
from infra.rabbitmq.deliveries import Delivery, Epoch, Verdict
from infra.rabbitmq.handling import Handling
from infra.rabbitmq.messages import Message
from infra.rabbitmq.time_limit import HandlerTimeLimit
from tests.model.broker import Item, ModelBroker

T = TypeVar("T")
One = TypeVar("One")
#: Of the program, or of these doubles: no script of a model raises them, and a try that fails by them proves nothing.
_MISTAKES = {"AttributeError", "NameError", "NotImplementedError", "TypeError"}
#: What goes wrong around a delivery that is no crash.
ACK_LOST, CONFIRM_LOST, NOT_CONFIRMED = "ack lost", "confirm lost", "not confirmed"
#: The database is away, from the first, second or third use of it on.
DATABASE_AWAY = ("database away 0", "database away 1", "database away 2")


class Died(BaseException):
    """The process is dead: no line of it may do anything any more."""


class Fate:
    """What befalls one process while it does one thing."""

    def __init__(self, fault: str | None) -> None:
        """Name a failpoint for a crash there, or one of the faults above."""
        self.fault = fault
        self.is_crash = fault in faults.NAMES
        #: Uses of the database before it is away.
        self._uses = DATABASE_AWAY.index(fault) if fault in DATABASE_AWAY else sys.maxsize
        faults.arm(f"{fault}:1:raise" if self.is_crash else None)

    @property
    def is_dead(self) -> bool:
        return self.is_crash and not faults.is_armed(str(self.fault))

    def check(self) -> None:
        if self.is_dead:
            raise Died
        if self._uses <= 0:
            raise DatabaseUnavailable("away")
        self._uses -= 1


class Mortal:
    """A `Database` that a dead process cannot use, and that goes away when it is told to."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.fate = Fate(None)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        self.fate.check()
        with self._database.transaction() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        self.fate.check()
        with self._database.reading() as session:
            yield session

    def run(self, work: Callable[[Session], T]) -> T:
        self.fate.check()
        return self._database.run(work)

    def join(self, together: Callable[[Session, Sequence[One]], Sequence[T]], item: One) -> T:
        self.fate.check()
        return self._database.join(together, item)

    def as_database(self) -> Database:
        return cast("Database", self)


class _Impatient(threading.Event):
    """Whoever would wait is told to stop: nothing changes while one thing is done after the other."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True


class Worker:
    """One consumer's handling of single messages, from the delivery to the verdict."""

    def __init__(
        self, queue: str, handle: Callable[[Sequence[Incoming]], Sequence[Outcome]], broker: ModelBroker
    ) -> None:
        self._queue, self._handle, self._broker = queue, handle, broker
        self.last: list[str] = []

    def work(self, item: Item, fate: Fate) -> None:
        """Handle a message that the broker delivered, whatever befalls this process meanwhile."""
        delivery = _delivery(item)
        try:
            self._handling(fate).run([delivery])
        except (Died, FaultInjected):
            assert fate.is_dead
        finally:
            faults.arm(None)
        self._settle(item, delivery.verdict, fate)

    def _settle(self, item: Item, verdict: Verdict, fate: Fate) -> None:
        if fate.is_crash or fate.fault == ACK_LOST:
            self._broker.lose_connection()
        elif verdict is Verdict.ACK:
            self._broker.acknowledge(item)
        elif verdict is Verdict.REJECT:
            self._broker.give_up(item, "rejected")
        elif verdict is Verdict.REQUEUE:
            self._broker.give_back(item)

    def _handling(self, fate: Fate) -> Handling:
        return Handling(
            consumer=self._queue,
            handle=self._handle,
            timeout=float("inf"),
            publish=lambda message: self._publish(message, fate),
            limit=HandlerTimeLimit(),
            stopping=_Impatient(),
            observe=lambda _, outcome, __: self._observe(outcome),
        )

    def _observe(self, outcome: Outcome) -> None:
        error = getattr(outcome, "error", "")
        assert error.removeprefix("internal: ").partition(":")[0] not in _MISTAKES, error
        self.last.append(type(outcome).__name__)

    def _publish(self, message: Message, fate: Fate) -> None:
        if fate.is_dead:
            raise Died
        if fate.fault == NOT_CONFIRMED:
            raise NotConfirmed("lost on its way")
        self._broker.publish(message)
        if fate.fault == CONFIRM_LOST:
            raise NotConfirmed("its confirm was lost")


def _delivery(item: Item) -> Delivery:
    said = item.message
    properties: dict[str, Any] = {
        "headers": said.headers,
        "message_id": said.message_id,
        "type": said.type,
        "correlation_id": said.correlation_id,
        "app_id": said.app_id,
        "timestamp": None if said.timestamp is None else int(said.timestamp.timestamp()),
    }
    method = Basic.Deliver("tag", 1, item.redelivered, "", "")
    return Delivery(item.queue, Epoch(), method, BasicProperties(**properties), said.body)


def addressed(item: Item) -> Message:
    """The same message once more, to the same queue."""
    return replace(item.message, exchange="", routing_key=item.queue)
