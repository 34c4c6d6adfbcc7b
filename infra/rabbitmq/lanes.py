"""A lane: one consumer's share of the process, which holds back what it may not start yet.

A lane has at most `concurrency` deliveries in flight, and there are as many worker threads as all lanes may have in
flight together, so no consumer can take another one's threads. Each attached channel is an epoch of its own: a tag
means nothing outside the epoch that delivered it, so an ack from an old epoch is dropped, and what an old epoch left
behind un-started is not run (the broker delivers it again).

A lane's mode is what somebody wants of it, from any thread; the IO thread follows. While it is paused nothing is
started: what waits goes back to the queue, but for what went back so often that once more would bring it near the
broker's delivery limit. That stays here, first in line for when the lane goes on.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from pika.spec import Basic, BasicProperties

from infra.rabbitmq.deliveries import Delivery, Epoch
from infra.rabbitmq.modes import Mode
from infra.rabbitmq.topology import DELIVERY_LIMIT

#: Deliveries that a channel may hold unacknowledged, per delivery in flight.
PREFETCH_PER_SLOT = 16
#: Least prefetch: below it the acks cannot be coalesced to any effect.
LEAST_PREFETCH = 64
#: Returns to the queue after which a delivery is kept instead: the rest of the limit is for crashes.
MOST_RETURNS = DELIVERY_LIMIT // 2


class Lane:
    """One consumer's deliveries in this process; `hand` passes some to a free worker thread and must not block."""

    def __init__(
        self, queue: str, concurrency: int, *, size: int = 1, wait: float = 0.0, prefetch: int | None = None
    ) -> None:
        """With a size, up to so many are handed on together, those that came within `wait` seconds."""
        self.queue = queue
        self.concurrency = concurrency
        self.prefetch = prefetch or max(LEAST_PREFETCH, concurrency * PREFETCH_PER_SLOT, (concurrency + 1) * size)
        self.hand: Callable[[Sequence[Delivery]], None] = _nobody_there
        #: Calls a function after some seconds, on the IO thread.
        self.call_later: Callable[[float, Callable[[], None]], object] = _no_timer
        self.epoch: Epoch | None = None
        self.mode = Mode.RUNNING
        #: Attachments that failed in a row.
        self.failures = 0
        self._size = size
        self._wait = wait
        self._lock = threading.Lock()
        self._waiting: deque[Delivery] = deque()
        self._in_flight = 0
        self._timer_runs = False
        #: What waits has waited long enough: the next free slot takes it, however little it is.
        self._late = False
        self._stopped = False

    @property
    def attached(self) -> bool:
        """Whether the broker delivers to this lane right now."""
        epoch = self.epoch
        return epoch is not None and epoch.live and epoch.attached

    @property
    def busy(self) -> bool:
        """Whether it waits for the message of a probe, or is at work on any."""
        with self._lock:
            return self.mode is Mode.PROBING or self._in_flight > 0

    def turn(self, mode: Mode) -> bool:
        """Want another mode (any thread); whether it is another one."""
        with self._lock:
            self.mode, before = mode, self.mode
        return mode is not before

    def begin(self) -> Epoch:
        """Start a new epoch (IO thread)."""
        self.epoch = Epoch(narrow=self.prefetch <= self.concurrency)
        return self.epoch

    def end(self) -> None:
        """End the epoch: none of its tags means anything from now on (IO thread)."""
        if self.epoch is not None:
            self.epoch.live = False
            self.epoch = None
        with self._lock:
            self._waiting.clear()

    def unstarted(self) -> list[int]:
        """Take out of the lane what waits and may go back to the queue: its tags (IO thread)."""
        with self._lock:
            tags = [delivery.tag for delivery in self._waiting if delivery.returns < MOST_RETURNS]
            self._waiting = deque(delivery for delivery in self._waiting if delivery.returns >= MOST_RETURNS)
            self._late = self._late and bool(self._waiting)
        return tags

    def stop(self) -> None:
        """Start nothing more; what is in flight may finish."""
        with self._lock:
            self._stopped = True
            self._waiting.clear()

    def deliver(self, epoch: Epoch, method: Basic.Deliver, properties: BasicProperties, body: bytes) -> None:
        """Take a delivery from the channel and hand it on when it is this lane's turn (IO thread)."""
        epoch.acks.delivered(method.delivery_tag)
        with self._lock:
            if self._stopped:
                return
            self._waiting.append(Delivery(self.queue, epoch, method, properties, body))
            chosen = self._choose_probe() or self._choose()
            needs_timer = self._needs_timer()
        if chosen:
            self.hand(chosen)
        if needs_timer:
            self.call_later(self._wait, self._waited)

    def go_on(self) -> None:
        """Start what a pause kept here, as far as the mode allows now (IO thread)."""
        while chosen := self._next():
            self.hand(chosen)
        with self._lock:
            needs_timer = self._needs_timer()
        if needs_timer:
            self.call_later(self._wait, self._waited)

    def release(self, _deliveries: Sequence[Delivery] = ()) -> None:
        """Give their slot back; the finishing thread hands the next ones on itself, so none has to be woken for it."""
        with self._lock:
            self._in_flight -= 1
            chosen = self._choose()
        if chosen:
            self.hand(chosen)

    def _waited(self) -> None:
        with self._lock:
            self._timer_runs = False
            self._late = bool(self._waiting)
            chosen = self._choose()
        if chosen:
            self.hand(chosen)

    def _next(self) -> list[Delivery]:
        with self._lock:
            return self._choose_probe() or self._choose()

    def _needs_timer(self) -> bool:
        """Whether what waits for others has to be given a time limit; the lock is held."""
        needs = bool(self._waiting) and self._size > 1 and not (self._timer_runs or self._late)
        self._timer_runs |= needs
        return needs

    def _choose_probe(self) -> list[Delivery]:
        """The one message of a probe, which ends the probing; the lock is held, by the IO thread."""
        if self.mode is not Mode.PROBING or not self._waiting or self._stopped:
            return []
        self.mode = Mode.PAUSED
        self._in_flight += 1
        return [self._waiting.popleft()]

    def _choose(self) -> list[Delivery]:
        """What may be started now; the lock is held."""
        if self.mode is not Mode.RUNNING or self._in_flight >= self.concurrency:
            return []
        if not (len(self._waiting) >= self._size or self._late):
            return []
        chosen = self._take()
        self._late = self._late and bool(self._waiting)
        self._in_flight += bool(chosen)
        return chosen

    def _take(self) -> list[Delivery]:
        """What is next in line; the lock is held."""
        return [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]


def _nobody_there(deliveries: Sequence[Delivery]) -> None:
    raise RuntimeError(f"{deliveries!r} came before a worker asked for it")


def _no_timer(_seconds: float, _function: Callable[[], None]) -> None:
    raise RuntimeError("a lane that gathers needs the IO loop's timer")
