"""Relays for tests: each in a thread and a loop of its own, as in a program."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime
from threading import Thread
from uuid import UUID, uuid4

import uvloop
from sqlalchemy import select

from events.clock import HeartbeatTicked
from events.envelope import Envelope, Event, announce
from events.users import UserRegistered
from infra.database import consumers, outbox
from infra.database.engine import Database
from infra.database.tables import EventLog, table
from infra.rabbitmq.publisher import Publisher
from infra.relaying.holds import Holds
from infra.relaying.relay import Relay
from infra.subscriptions import Context, Subscription
from tests.waiting import until

CONSUMER = "welcome-email"


class Running:
    """A relay at work."""

    def __init__(self, database: Database, url: str, holder: str, holds: Holds | None) -> None:
        self._made: Future[tuple[Relay, asyncio.Task[None]]] = Future()
        self._thread = Thread(target=lambda: uvloop.run(self._run(database, url, holder, holds)))
        self._thread.start()
        self.relay, self._task = self._made.result(10)

    def stop(self) -> None:
        """Cancel it, as a program that ends does; a second call does nothing."""
        if self._thread.is_alive():
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)
            self._thread.join(15)
        assert not self._thread.is_alive()

    async def _run(self, database: Database, url: str, holder: str, holds: Holds | None) -> None:
        publisher = Publisher(url, name="relay", deadline=5)
        relay = Relay(database, publisher, holder=holder, holds=holds)
        database.on_outbox(relay.wake)
        task = asyncio.create_task(relay.run())
        self._made.set_result((relay, task))
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await publisher.close()


@contextlib.contextmanager
def running(database: Database, url: str, holder: str = "me", holds: Holds | None = None) -> Iterator[Running]:
    """A relay that is stopped at the end, whatever the test did."""
    made = Running(database, url, holder, holds)
    try:
        yield made
    finally:
        made.stop()


def registered(user_id: UUID | None = None) -> Envelope:
    """An event that the test's consumer takes."""
    return announced(UserRegistered(user_id=user_id or uuid4(), name="Ada", email="ada@example.com"))


def heartbeat(due_at: datetime) -> Envelope:
    """An event that it does not take."""
    return announced(HeartbeatTicked(due_at=due_at))


def announced(event: Event) -> Envelope:
    return announce(event, source="/test")


def record(database: Database, *types: str, name: str = CONSUMER) -> None:
    """Record a consumer in the database, and do nothing on the broker."""
    with database.transaction() as session:
        consumers.declare(session, [Subscription(name, types, _handle, description="Test")])


def add(database: Database, envelopes: Sequence[Envelope], at: datetime | None = None) -> None:
    """Commit events to the outbox."""
    with database.transaction() as session:
        outbox.add_all(session, [(envelope, at) for envelope in envelopes])


def logged(database: Database) -> list[EventLog]:
    """The event log, by position."""
    log = table(EventLog)
    with database.reading() as session:
        rows = session.connection().execute(select(log).order_by(log.c.position))
        return [EventLog(**row._mapping) for row in rows]


def await_logged(database: Database, count: int, seconds: float = 40) -> list[EventLog]:
    """Wait until so many events are published, and give them."""
    until(lambda: len(logged(database)) >= count, seconds=seconds, what=f"the publishing of {count} events")
    return logged(database)


def _handle(_: Event, __: Context) -> None:
    """Never called: no worker runs in these tests."""
