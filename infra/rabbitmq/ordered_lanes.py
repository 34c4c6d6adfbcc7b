"""The lane of an ordered consumer: it starts one delivery of a subject at a time, so one that is at work need not wait.

That saves ways through the database and decides nothing (`infra.ordering` does). What it cannot read has no subject.
"""

import json
import time
from collections.abc import Sequence

from infra.rabbitmq.deliveries import Delivery
from infra.rabbitmq.lanes import Lane
from infra.subscriptions import Subscription

#: Seconds that a subject may be at work while nothing but more of it has come: then these are started all the same, and
#: wait in the database, so that others come.
PATIENCE = 0.1
#: Bytes of a message that is read for its subject.
_LARGEST = 65_536


class OrderedLane(Lane):
    """Passes over what waits for a subject that is at work."""

    def __init__(self, queue: str, concurrency: int) -> None:
        super().__init__(queue, concurrency, wait=PATIENCE)
        #: Subject -> when the delivery that is in flight was started, by the monotonic clock.
        self._at_work: dict[str, float] = {}

    def release(self, deliveries: Sequence[Delivery] = ()) -> None:
        """Give a slot back, and the subject."""
        with self._lock:
            for delivery in deliveries:
                self._at_work.pop(_subject(delivery) or "", None)
        super().release(deliveries)

    def _take(self) -> list[Delivery]:
        crowded = len(self._waiting) + self._in_flight >= self.prefetch // 2
        now = time.monotonic()
        for number, delivery in enumerate(self._waiting):
            since = self._at_work.get(subject) if (subject := _subject(delivery)) else None
            if since is None or (crowded and now - since >= PATIENCE):
                del self._waiting[number]
                if subject:
                    self._at_work.setdefault(subject, now)
                return [delivery]
        return []

    def _needs_timer(self) -> bool:
        needs = bool(self._waiting) and self._in_flight < self.concurrency and not self._timer_runs
        self._timer_runs |= needs
        return needs


def lane_of(subscription: Subscription) -> Lane:
    """The lane of a consumer, as its options want it."""
    name, batch = subscription.consumer, subscription.batch
    if subscription.ordered:
        return OrderedLane(name, subscription.concurrency)
    size, wait = (batch.size, batch.wait) if batch else (1, 0.0)
    return Lane(name, subscription.concurrency, size=size, wait=wait, prefetch=subscription.prefetch)


def _subject(delivery: Delivery) -> str | None:
    if delivery.subject is None:
        delivery.subject = _read(delivery.body)
    return delivery.subject or None


def _read(body: bytes) -> str:
    try:
        event = json.loads(body) if len(body) <= _LARGEST else None
    except (ValueError, RecursionError):
        return ""
    subject = event.get("subject") if isinstance(event, dict) else None
    return subject if isinstance(subject, str) else ""
