"""A worker of ours in the test's own process, on a real broker, with the publishes and outcomes it made."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pika
from dramatiq import Worker

from infra.errors import BrokerUnavailable
from infra.outcomes import Done, Incoming, Outcome
from infra.rabbitmq.broker import TidingsBroker
from infra.rabbitmq.messages import Message
from infra.rabbitmq.modes import Mode
from infra.rabbitmq.topology import consumer_queue_arguments
from infra.subscriptions import Subscription
from tests.brokers import BrokerApi
from tests.waiting import until

Handle = Callable[[Incoming], Outcome]


@dataclass
class Bench:
    """What a test needs to make queues, fill them, and see what a worker made of it."""

    api: BrokerApi
    vhost: str
    #: Copies that the worker published.
    published: list[Message] = field(default_factory=list)
    #: While set, every publish fails.
    publisher_is_dead: bool = False
    #: Publishes tried.
    tries: int = 0
    #: The worker that runs, or ran last.
    worker: Worker | None = None

    def declare(self, *queues: str) -> None:
        """Make consumers' queues as the topology has them."""
        with self.api.channel(self.vhost) as channel:
            for queue in queues:
                channel.queue_declare(queue, durable=True, arguments=consumer_queue_arguments("a test's"))

    def send(self, queue: str, *bodies: bytes, **properties: Any) -> None:
        """Publish straight to a queue, confirmed."""
        with self.api.channel(self.vhost) as channel:
            channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish(
                    "", queue, body, pika.BasicProperties(delivery_mode=2, **properties), mandatory=True
                )

    def publish(self, message: Message) -> None:
        """What the worker publishes its copies with."""
        self.tries += 1
        if self.publisher_is_dead:
            raise BrokerUnavailable("The broker is away, says the test.")
        self.published.append(message)

    @property
    def all_threads_live(self) -> bool:
        """Whether no thread of the worker has died."""
        assert self.worker is not None
        return all(thread.is_alive() for thread in [*self.worker.workers, *self.worker.consumers.values()])

    @contextlib.contextmanager
    def working(
        self,
        handles: dict[str, Handle],
        *,
        attached: bool = True,
        timeout: float = 60.0,
        modes: Mapping[str, Mode] = MappingProxyType({}),
        **options: Any,
    ) -> Iterator[TidingsBroker]:
        """Meanwhile a worker runs with these consumers; `attached` waits until those consume that have no mode."""
        concurrency, companions = options.pop("concurrency", 4), options.pop("companions", ())
        prefetch = options.pop("prefetch", None)
        settings: dict[str, Any] = {
            "publish": self.publish,
            "redeclare": lambda: self.declare(*handles),
            "grace": 5.0,
        } | options
        broker = TidingsBroker(self.vhost, **settings)
        for queue, handle in handles.items():
            broker.attach(
                Subscription(queue, ("t",), _unused, concurrency=concurrency, timeout=timeout, prefetch=prefetch),
                one_by_one(handle),
            )
        for companion in companions:
            broker.accompany(companion)
        for queue, mode in modes.items():
            broker.turn(queue, mode)
        worker = self.worker = Worker(broker, worker_threads=broker.threads, worker_timeout=100)
        worker.start()
        try:
            if attached:
                until(
                    lambda: all(broker.attached[name] for name in handles if name not in modes),
                    what="the consumers' attachment",
                )
            yield broker
        finally:
            worker.stop(timeout=20_000)
            broker.close()


def one_by_one(handle: Handle) -> Callable[[Sequence[Incoming]], list[Outcome]]:
    """What the broker wants, of a function for one message."""
    return lambda incoming: [handle(one) for one in incoming]


def collect(bodies: list[bytes]) -> Handle:
    """A handler that remembers what it was given."""

    def handle(incoming: Incoming) -> Outcome:
        bodies.append(incoming.body)
        return Done()

    return handle


def _unused(*_: Any) -> None:
    raise AssertionError("the worker calls `handle`, never the subscription's handler")
