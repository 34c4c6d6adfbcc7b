"""A consumer that pauses itself on a real RabbitMQ: what waits stays in its queue, and probes find the way back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra import pausing
from infra.database.engine import Database, connect
from infra.outcomes import Done, Incoming, Outcome, RetryLater
from infra.pausing import Pausing
from infra.rabbitmq.broker import TidingsBroker
from infra.subscriptions import Subscription
from tests.waiting import until
from tests.workers import Bench

NAME = "a-consumer"


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """One kind is enough: the rules themselves are tested on both."""
    connected = connect(sqlite_url)
    yield connected
    connected.close()


class Service:
    """What the consumer needs, which is away at first; counts who asked for it."""

    def __init__(self) -> None:
        self.is_back = threading.Event()
        self.failed = list[bytes]()
        self.done = list[bytes]()

    def handle(self, incoming: Incoming) -> Outcome:
        if self.is_back.is_set():
            self.done.append(incoming.body)
            return Done()
        self.failed.append(incoming.body)
        return RetryLater(5, "away")


@contextmanager
def pausing_itself(database: Database, broker: TidingsBroker, holder: str) -> Iterator[None]:
    subscription = Subscription(NAME, ("t",), lambda *_: None, pause_after=5)
    companion = Pausing(database, broker, [subscription], holder=holder, probe_every=0.5)
    companion.start()
    try:
        yield
    finally:
        companion.stop()


def test_a_failing_consumer_leaves_its_messages_in_the_queue_and_goes_on_when_it_can(
    bench: Bench, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two processes: at most one message fails per probe, over both of them."""
    monkeypatch.setattr(pausing, "LOOK_EVERY", 0.05)
    bench.declare(NAME)
    service = Service()
    with (
        bench.working({NAME: service.handle}, concurrency=1) as one,
        bench.working({NAME: service.handle}, concurrency=1) as two,
        pausing_itself(database, one, "one"),
        pausing_itself(database, two, "two"),
    ):
        bench.send(NAME, *[b"%d" % number for number in range(100)])
        until(lambda: not any([*one.attached.values(), *two.attached.values()]), what="the pause in both")
        until(lambda: not (one.is_busy(NAME) or two.is_busy(NAME)), what="the end of what was in flight")
        before = len(service.failed)
        until(lambda: len(service.failed) >= before + 2, what="two probes")
        until(
            lambda: bench.api.messages(bench.vhost, NAME) == 100 - len(service.failed), what="all others in the queue"
        )
        service.is_back.set()
        until(lambda: len(service.failed) + len(service.done) >= 100, what="all the others")
        until(lambda: not (one.paused or two.paused), what="both processes")

    assert sorted(service.failed + service.done) == sorted(b"%d" % number for number in range(100))
    assert len(service.failed) == len(bench.published) < 30
    assert bench.api.messages(bench.vhost, NAME) == 0
