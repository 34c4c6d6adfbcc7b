"""The Dramatiq broker: Dramatiq's actors, threads and CLI on our own way of consuming, acknowledging and retrying.

Dramatiq's Worker starts one thread per queue that iterates over `consume(queue)`, and worker threads that take messages
from a queue in memory. It knows of one queue only, which stands for all lanes: a thread for each would idle beside the
others. Deliveries reach the queue in memory through `ConsumerThread.handle_message`, called by the IO thread, or by the
worker thread that has just finished, so that no further thread has to be woken for a message (a fifth less CPU); the
consumer thread itself idles. The Message is made here and never decoded from the wire, so nothing on the wire can
name an actor, a queue or an option. Nothing but the outbox publishes, so `enqueue` refuses, and no delay queue exists.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import dramatiq
from dramatiq.broker import Consumer
from dramatiq.errors import QueueNotFound

from infra.outages import Outage
from infra.outcomes import Done, Incoming, Outcome
from infra.rabbitmq.companions import Accompanied, Companion
from infra.rabbitmq.consuming import Consuming
from infra.rabbitmq.crew import Crew
from infra.rabbitmq.handling import Handling
from infra.rabbitmq.lanes import Lane
from infra.rabbitmq.messages import Message
from infra.rabbitmq.modes import Mode
from infra.rabbitmq.ordered_lanes import lane_of
from infra.rabbitmq.time_limit import HandlerTimeLimit
from infra.rabbitmq.topology import DEAD_LETTERS
from infra.rabbitmq.working import QUEUE, LanesConsumer, Lifecycle
from infra.subscriptions import Subscription

#: Seconds that deliveries in flight have when the process stops.
GRACE = 10.0


class TidingsBroker(dramatiq.Broker):
    """Consumes one queue per attached subscription; connects at the first `consume`, in the process that works."""

    def __init__(
        self,
        url: str,
        *,
        publish: Callable[[Message], None],
        redeclare: Callable[[], None],
        name: str = "tidings consumers",
        grace: float = GRACE,
    ) -> None:
        """Remember, and connect to nothing.

        `publish` publishes and waits for the confirm, `redeclare` declares the topology again; both may raise, and are
        called again later then. `grace` is in seconds.

        Raises:
            ConfigurationError: the URL cannot be read.
        """
        self._limit = HandlerTimeLimit()
        self._publish = publish
        self._accompanied = Accompanied()
        self._crew = Crew()
        self._lanes: dict[str, Lane] = {}
        self._consuming = Consuming(url, name, redeclare)
        #: Told the consumer, the outcome (done, filtered, retrylater, comeback, park, hold) and the seconds of a call.
        self.on_outcome: Callable[[str, str, float], None] | None = None
        #: Told the consumer and the outcome of each delivery; on the worker's thread, so it must be quick.
        self.on_ended: Callable[[str, Outcome], None] | None = None
        lifecycle = Lifecycle(self._lanes, self._consuming, self._crew, self._limit, grace)
        super().__init__(middleware=[self._limit, lifecycle, self._accompanied])

    @property
    def is_stopping(self) -> bool:
        """Whether this process is on its way out."""
        return self._consuming.stopping.is_set()

    @property
    def threads(self) -> int:
        """Worker threads needed for every lane to be full at once."""
        return sum(lane.concurrency for lane in self._lanes.values())

    @property
    def attached(self) -> dict[str, bool]:
        """Whether each consumer is being delivered to right now."""
        return {name: lane.attached for name, lane in self._lanes.items()}

    @property
    def paused(self) -> frozenset[str]:
        """The consumers that are not to be delivered to, or to be tried with a single message."""
        return frozenset(name for name, lane in self._lanes.items() if lane.mode is not Mode.RUNNING)

    def turn(self, consumer: str, mode: Mode) -> None:
        """Have a consumer take everything, nothing, or one message and then nothing; may be called at any time."""
        self._consuming.turn(self._lanes[consumer], mode)

    def is_busy(self, consumer: str) -> bool:
        """Whether it waits for the message of a probe, or is at work on any."""
        return self._lanes[consumer].busy

    @property
    def connected(self) -> bool:
        """Whether the consuming connection is open."""
        return self._consuming.connected

    @property
    def was_away(self) -> Outage | None:
        """When the consuming connection was lost last, if it was, and is open again."""
        return self._consuming.outages.last

    def attach(self, subscription: Subscription, handle: Callable[[Sequence[Incoming]], Sequence[Outcome]]) -> None:
        """Make the lane and the actor of one consumer; `handle` decides what it is given and should not raise."""
        name = subscription.consumer
        handling = Handling(
            consumer=name,
            handle=handle,
            timeout=subscription.timeout,
            publish=self._publish,
            limit=self._limit,
            stopping=self._consuming.stopping,
            observe=self._observe,
            copies=name != DEAD_LETTERS,
        )
        self._lanes[name] = lane_of(subscription)
        dramatiq.Actor(
            handling.run,
            broker=self,
            actor_name=name,
            queue_name=QUEUE,
            priority=0,
            options={"time_limit": subscription.timeout * 1_000},
        )

    def accompany(self, companion: Companion) -> None:
        """Have this started and stopped with the worker."""
        self._accompanied.companions.append(companion)

    def install(self) -> None:
        """Be the broker that Dramatiq's CLI finds."""
        dramatiq.set_broker(self)

    def declare_queue(self, queue_name: str) -> None:
        """Tell the worker that there is something to consume; the queues themselves are declared by the topology."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = None
            self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30_000) -> Consumer:  # noqa: ARG002  # a lane knows its own
        """Attach all lanes; called by the worker's consumer thread.

        Raises:
            QueueNotFound: it is not the one queue that there is.
        """
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)  # type: ignore[no-untyped-call]
        for lane in self._lanes.values():
            self._consuming.consume(lane)
        return LanesConsumer(self._lanes, self._consuming, self._crew)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> NoReturn:  # noqa: ARG002
        """Refuse.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("Nothing but the outbox publishes: add the event there (context.publish, `at` for later).")

    def close(self) -> None:
        """Send the last acks and close the connection; what is unacked goes back to its queue."""
        self._consuming.close()

    def _observe(self, consumer: str, outcome: Outcome, seconds: float) -> None:
        if self.on_outcome is not None:
            self.on_outcome(consumer, _name_of(outcome), seconds)
        if self.on_ended is not None:
            self.on_ended(consumer, outcome)


def _name_of(outcome: Outcome) -> str:
    return "filtered" if isinstance(outcome, Done) and outcome.filtered else type(outcome).__name__.lower()
