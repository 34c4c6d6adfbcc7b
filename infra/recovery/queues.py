"""What is known of the queues: how much waits in each, when one was empty, and when one was made anew."""

import time
from collections import defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Protocol

from infra.database.engine import Database
from infra.database.tables import Subscription
from infra.errors import BrokerUnavailable
from infra.relaying import emptying
from infra.relaying.trouble import Trouble

#: Name, event types and description of a consumer, as its queue is declared.
Consumer = tuple[str, Sequence[str], str]
#: Seconds between two looks at the broker, which also make deleted queues and bindings again …
LOOK_EVERY = 5.0
#: … for so many consumers, and longer for more: each costs a millisecond at each look.
_AT_LEAST_FOR = 25
#: Moments of emptiness that are remembered for each queue: enough for a quarter of an hour.
_REMEMBERED = 180


class Broker(Protocol):
    """Declares what is missing, and counts; `infra.rabbitmq.blocking.BlockingPublisher` does."""

    @property
    def made(self) -> dict[str, datetime]:
        """Queues that were missing and were made again -> when."""

    def inspect(self, consumers: Sequence[Consumer]) -> Future[dict[str, int]]:
        """Declare what is missing of queues and bindings; to come: how many messages wait in each queue."""


class Queues:
    """Looks now and then, without waiting for the answer: a broker that hangs holds nobody up."""

    def __init__(self, database: Database, broker: Broker) -> None:
        self._database = database
        self._broker = broker
        self._looking: Future[dict[str, int]] | None = None
        self._began = datetime.now(UTC)
        self._next_at = 0.0
        self._empty: defaultdict[str, deque[datetime]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self.trouble = Trouble("sweep")

    def look(self, rows: Sequence[Subscription]) -> None:
        """Take in what the last look has brought, and begin another one if it is time.

        Raises:
            DatabaseUnavailable: what was made anew could not be written down; it will be.
        """
        if self._looking is not None and self._looking.done():
            self._take_in(self._looking)
            self._looking = None
        if self._looking is None and time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + LOOK_EVERY * max(1.0, len(rows) / _AT_LEAST_FOR)
            self._began = datetime.now(UTC)
            self._looking = self._broker.inspect([(row.consumer, row.types, row.description) for row in rows])
        emptying.write_down_now(self._database, self._broker.made)

    def look_now(self, rows: Sequence[Subscription], seconds: float) -> None:
        """Look and wait for the answer, for so many seconds at most.

        Raises:
            BrokerUnavailable: there is none.
        """
        self.look(rows)
        assert self._looking is not None
        try:
            self._looking.result(seconds)
        except TimeoutError:
            raise BrokerUnavailable(f"RabbitMQ did not answer within {seconds:g} s.") from None
        self._take_in(self._looking)
        emptying.write_down_now(self._database, self._broker.made)

    def empty_until(self, queue: str, *, patience: timedelta) -> datetime | None:
        """The last moment, at least that long ago, at which nothing waited in the queue; None if none is known.

        Whatever came into it before was taken out by then, and has been at work since.
        """
        latest = datetime.now(UTC) - patience
        return next((at for at in reversed(self._empty[queue]) if at <= latest), None)

    def _take_in(self, looked: Future[dict[str, int]]) -> None:
        try:
            waiting = looked.result()
        except BrokerUnavailable as error:
            self.trouble.tell(error)
            return
        self.trouble.over()
        for queue, messages in waiting.items():
            if messages == 0:
                self._empty[queue].append(self._began)
