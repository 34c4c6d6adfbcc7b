"""The road over a real RabbitMQ: relay, worker and keeper of this process, in threads, as the programs have them."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from threading import Thread
from typing import TypeVar

from dramatiq import Worker
from sqlmodel import Session

from events.envelope import Envelope
from infra.database import outbox
from infra.database.engine import Database
from infra.outcomes import Incoming, Outcome, Park
from infra.rabbitmq.blocking import BlockingPublisher
from infra.rabbitmq.broker import TidingsBroker
from infra.rabbitmq.deliveries import incoming
from infra.recovery import keeping, post_mortem
from infra.recovery.keeping import Keeper
from infra.relaying import publishing
from infra.relaying.publishing import Publishing
from infra.subscriptions import Subscription
from infra.testing import copies, quiet, reading
from infra.testing.stage import Stage
from infra.testing.told import KitError, Settled, Told

T = TypeVar("T")
#: Seconds that `settle` waits, and between two looks.
LONGEST, _EVERY = 30.0, 0.02
#: Milliseconds for the worker's end.
_END = 10_000


class Live:
    """Starts when something is to be published, and is started anew when others take part."""

    def __init__(self, database: Database, stage: Stage, url: str) -> None:
        """`url` names a virtual host that nobody else uses."""
        self._database = database
        self._stage = stage
        self._url = url
        self._cast: list[Subscription] = []
        self._running = ExitStack()
        self._publisher: BlockingPublisher | None = None
        self._given: set[tuple[str, str]] = set()
        self._letters: set[str] = set()
        #: One for each delivery that a worker's thread is at.
        self._at_work: set[object] = set()

    def cast(self, subscriptions: Iterable[Subscription]) -> None:
        """These take part from now on."""
        self.stop()
        self._cast = list(subscriptions)

    def log(self, envelope: Envelope) -> None:
        """The relay alone writes the log here, and what is delivered by hand has not come by it."""

    def deliver(
        self, subscription: Subscription, bodies: Sequence[bytes], *, attempt: int, redelivered: bool
    ) -> list[Told]:
        """Bring these to one consumer, in the test's own thread; what fails goes on from there over the broker."""
        messages = [copies.first(subscription.consumer, body, attempt) for body in bodies]
        came = [incoming(each.body, each.headers, redelivered=redelivered) for each in messages]
        told = self._stage.play(subscription, came)
        for message, each in zip(messages, told, strict=True):
            copy = copies.after(message, each.outcome, consumer=subscription.consumer, attempt=attempt)
            if copy is not None:
                self._start().publish(copy)
            self._note(each, message.body)
        return told

    def settle(self) -> Settled:
        """Wait until nothing is under way.

        Raises:
            KitError: something is for too long.
        """
        already, logged = len(self._stage.told), self._read(quiet.logged)
        self._start()
        self._wait()
        relayed = self._read(reading.events)[logged : self._read(quiet.logged)]
        return Settled(self._stage.told[already:], relayed)

    def keep(self) -> None:
        """Wait until what was given up is written down."""
        if self._publisher is not None:
            self._wait()

    @property
    def next_due(self) -> datetime | None:
        """When something is due that waits now."""
        dues = (self._read(outbox.next_at), self._read(quiet.next_return))
        return min((due for due in dues if due is not None), default=None)

    def stop(self) -> None:
        """End the threads and connections."""
        self._publisher = None
        self._running.close()

    def _start(self) -> BlockingPublisher:
        if self._publisher is None:
            self._publisher = publisher = BlockingPublisher(self._url, name="kit")
            self._running.callback(publisher.close)
            topology = [(each.consumer, each.types, each.description) for each in self._cast]
            publisher.declare(topology)
            self._work(publisher, partial(publisher.declare, topology))
            self._running.enter_context(_Relaying(self._database, self._url))
        return self._publisher

    def _work(self, publisher: BlockingPublisher, redeclare: Callable[[], None]) -> None:
        broker = TidingsBroker(self._url, publish=publisher.publish, redeclare=redeclare, name="kit", grace=2.0)
        for subscription in self._cast:
            broker.attach(subscription, partial(self._handle, subscription))
        broker.attach(keeping.subscription(), Keeper(self._database).keep)
        worker = Worker(broker, worker_threads=broker.threads, worker_timeout=100)
        worker.start()
        self._running.callback(broker.close)
        self._running.callback(worker.stop, timeout=_END)

    def _handle(self, subscription: Subscription, incoming: Sequence[Incoming]) -> list[Outcome]:
        self._at_work.add(work := object())
        try:
            return [told.outcome for told in self._stage.play_at_work(subscription, incoming)]
        finally:
            self._at_work.discard(work)

    def _note(self, told: Told, body: bytes) -> None:
        if told.envelope is not None:
            self._given.add((told.event_id, told.consumer))
        if isinstance(told.outcome, Park):
            which = f"/{told.event_id}" if told.envelope else f"#{post_mortem.digest(body)}"
            self._letters.add(f"{told.consumer}{which}")

    def _wait(self) -> None:
        until = time.monotonic() + LONGEST
        while lines := self._pending():
            if time.monotonic() > until:
                raise KitError(f"It has not settled within {LONGEST:g} s; under way: {', '.join(lines[:5])}.")
            time.sleep(_EVERY)

    def _pending(self) -> list[str]:
        with self._database.reading() as session:
            lines = quiet.pending(session, self._cast, self._given, self._letters)
        # Looked at last: what the database has as handled may not have been told yet.
        return lines or [f"{len(self._at_work)} at work"] * bool(self._at_work)

    def _read(self, look: Callable[[Session], T]) -> T:
        with self._database.reading() as session:
            return look(session)


class _Relaying:
    """A relay in a thread and a loop of its own."""

    def __init__(self, database: Database, url: str) -> None:
        self._task: Future[asyncio.Task[None]] = Future()
        self._thread = Thread(target=lambda: asyncio.run(self._run(database, url)), name="kit relay", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        task = self._task.result(10)
        task.get_loop().call_soon_threadsafe(task.cancel)
        self._thread.join(15)

    async def _run(self, database: Database, url: str) -> None:
        relay = Publishing(database, url, program="kit")
        task = asyncio.create_task(relay.run())
        waiting = asyncio.create_task(_ended(task))
        self._task.set_result(waiting)
        await asyncio.wait([waiting])
        await publishing.stop(task)


async def _ended(task: "asyncio.Task[None]") -> None:
    await asyncio.wait([task])
