"""A lane: one consumer's share of the process, which holds back what it may not start yet.

A lane has at most `concurrency` deliveries in flight, and there are as many worker threads as all lanes may have in
flight together, so no consumer can take another one's threads. Each attached channel is an epoch of its own: a tag
means nothing outside the epoch that delivered it, so an ack from an old epoch is dropped, and what an old epoch left
behind un-started is not run (the broker delivers it again).
"""

import threading
from collections import deque
from collections.abc import Callable

from pika.spec import Basic, BasicProperties

from infra.rabbitmq.deliveries import Delivery, Epoch

#: Deliveries that a channel may hold unacknowledged, per delivery in flight.
PREFETCH_PER_SLOT = 16
#: Least prefetch: below it the acks cannot be coalesced to any effect.
LEAST_PREFETCH = 64


class Lane:
    """One consumer's deliveries in this process; `hand` passes one to a free worker thread and must not block."""

    def __init__(self, queue: str, concurrency: int) -> None:
        self.queue = queue
        self.concurrency = concurrency
        self.prefetch = max(LEAST_PREFETCH, concurrency * PREFETCH_PER_SLOT)
        self.hand: Callable[[Delivery], None] = _nobody_there
        self.epoch: Epoch | None = None
        #: Attachments that failed in a row.
        self.failures = 0
        self._lock = threading.Lock()
        self._waiting: deque[Delivery] = deque()
        self._in_flight = 0
        self._stopped = False

    @property
    def attached(self) -> bool:
        """Whether the broker delivers to this lane right now."""
        epoch = self.epoch
        return epoch is not None and epoch.live and epoch.attached

    def begin(self) -> Epoch:
        """Start a new epoch (IO thread)."""
        self.epoch = Epoch()
        return self.epoch

    def end(self) -> None:
        """End the epoch: none of its tags means anything from now on (IO thread)."""
        if self.epoch is not None:
            self.epoch.live = False
            self.epoch = None
        with self._lock:
            self._waiting.clear()

    def stop(self) -> None:
        """Start nothing more; what is in flight may finish."""
        with self._lock:
            self._stopped = True
            self._waiting.clear()

    def deliver(self, epoch: Epoch, method: Basic.Deliver, properties: BasicProperties, body: bytes) -> None:
        """Take a delivery from the channel and hand it on when it is this lane's turn (IO thread)."""
        epoch.acks.delivered(method.delivery_tag)
        delivery = Delivery(self.queue, epoch, method, properties, body)
        with self._lock:
            if self._stopped:
                return
            if self._in_flight >= self.concurrency:
                self._waiting.append(delivery)
                return
            self._in_flight += 1
        self.hand(delivery)

    def release(self) -> None:
        """Give a slot back; the finishing thread hands the next delivery on itself, so none has to be woken for it."""
        with self._lock:
            if not self._waiting:
                self._in_flight -= 1
                return
            following = self._waiting.popleft()
        self.hand(following)


def _nobody_there(delivery: Delivery) -> None:
    raise RuntimeError(f"{delivery!r} came before a worker asked for it")
