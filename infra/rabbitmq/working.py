"""Dramatiq's Worker on our lanes: what it is handed and told, and how its life is tied to ours."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence

import dramatiq
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.middleware import Middleware
from dramatiq.worker import ConsumerThread, Worker

from infra.rabbitmq.consuming import Consuming
from infra.rabbitmq.crew import Crew
from infra.rabbitmq.deliveries import Delivery
from infra.rabbitmq.lanes import Lane
from infra.rabbitmq.time_limit import HandlerTimeLimit
from infra.rabbitmq.watchdog import Watchdog

#: Seconds that the idle consumer thread sleeps; it delays the end of the process by as much.
IDLE = 0.5
#: The one queue that Dramatiq knows of.
QUEUE = "tidings"


class Handed(MessageProxy):
    """Deliveries in the shape that Dramatiq's worker takes: one message of its own, whatever they are."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        consumer, message_id = deliveries[0].queue, deliveries[0].message_id
        super().__init__(dramatiq.Message(QUEUE, consumer, (deliveries,), {}, {}, message_id, 0))
        self.deliveries = deliveries


class LanesConsumer(Consumer):
    """Dramatiq's side of the lanes: what it calls ack or nack only says that the worker is through with a delivery."""

    def __init__(self, lanes: Mapping[str, Lane], consuming: Consuming, crew: Crew) -> None:
        self._lanes = lanes
        self._consuming = consuming
        self._crew = crew

    def __next__(self) -> MessageProxy | None:
        time.sleep(IDLE)
        return None

    def ack(self, message: MessageProxy) -> None:
        deliveries: Sequence[Delivery] = message.deliveries
        for delivery in deliveries:
            self._consuming.settle(delivery)
        self._crew.take_back()  # before the next one is handed on, which this thread takes
        self._lanes[deliveries[0].queue].release(deliveries)

    nack = ack

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Leave what was never started to the broker, which delivers it again when the connection closes."""


class Lifecycle(Middleware):
    """Ties the worker's life to ours: deliveries in, threads watched, and the order of the end."""

    def __init__(
        self, lanes: Mapping[str, Lane], consuming: Consuming, crew: Crew, limit: HandlerTimeLimit, grace: float
    ) -> None:
        self._lanes = lanes
        self._consuming = consuming
        self._crew = crew
        self._limit = limit
        self._grace = grace
        self._watchdog: Watchdog | None = None

    def after_consumer_thread_boot(self, _broker: dramatiq.Broker, thread: ConsumerThread) -> None:
        def hand(deliveries: Sequence[Delivery]) -> None:
            self._crew.give()
            thread.handle_message(Handed(deliveries))

        for lane in self._lanes.values():
            lane.hand = hand

    def before_worker_boot(self, _broker: dramatiq.Broker, worker: Worker) -> None:
        """The threads are ours, as many as are needed, whatever the CLI was told."""
        self._crew.take_over(worker)

    def after_worker_boot(self, _broker: dramatiq.Broker, worker: Worker) -> None:
        self._crew.begin()

        def threads() -> list[threading.Thread]:
            return [*worker.workers, *worker.consumers.values(), self._limit.thread, *self._consuming.threads]

        self._watchdog = Watchdog(threads)
        self._watchdog.start()

    def before_worker_shutdown(self, _broker: dramatiq.Broker, _worker: Worker) -> None:
        if self._watchdog is not None:
            self._watchdog.stop()
        self._consuming.stop()
        self._crew.close()
        self._limit.end_within(self._grace)

    def after_worker_shutdown(self, _broker: dramatiq.Broker, _worker: Worker) -> None:
        self._consuming.close()
