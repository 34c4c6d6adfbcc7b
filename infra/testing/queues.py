"""What RabbitMQ is to the kit: a queue per consumer, the retry tiers by the test's clock, and the dead letters."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from infra.outcomes import Incoming
from infra.rabbitmq.deliveries import incoming
from infra.rabbitmq.messages import Message
from infra.rabbitmq.topology import DEAD, DEAD_LETTERS, EVENTS, TIERS
from infra.subscriptions import Subscription

_SECONDS = {name: seconds for seconds, name in TIERS.items()}


@dataclass(frozen=True, slots=True)
class Item:
    """A message in a queue."""

    message: Message
    redelivered: bool = False

    @property
    def incoming(self) -> Incoming:
        """As the delivery takes it."""
        return incoming(self.message.body, self.message.headers, redelivered=self.redelivered)


class Queues:
    """Keeps messages in the order in which they came."""

    def __init__(self) -> None:
        self._takers: dict[str, Subscription] = {}
        self._queues: dict[str, deque[Item]] = {DEAD_LETTERS: deque()}
        #: When each is back, and the message.
        self._tiers: list[tuple[datetime, Message]] = []

    def bind(self, subscriptions: Iterable[Subscription]) -> None:
        """These are the consumers from now on; what waits for another one is forgotten."""
        self._takers = {each.consumer: each for each in subscriptions}
        self._queues = {name: self._queues.get(name, deque()) for name in (*self._takers, DEAD_LETTERS)}

    def publish(self, message: Message) -> None:
        """Take a message into each queue that it is for."""
        if message.exchange in _SECONDS:
            back = datetime.now(UTC) + timedelta(seconds=_SECONDS[message.exchange])
            self._tiers.append((back, message))
            return
        for queue in self._targets(message):
            self._queues[queue].append(Item(message))

    def give_back(self, queue: str, item: Item) -> None:
        """It comes once more, after what waits there now."""
        self._queues[queue].append(Item(item.message, redelivered=True))

    def take(self, queue: str, most: int = 1) -> list[Item]:
        """The next ones of a queue."""
        waiting = self._queues[queue]
        return [waiting.popleft() for _ in range(min(most, len(waiting)))]

    def return_due(self) -> None:
        """What has waited for its time in a tier goes back to its consumer."""
        now = datetime.now(UTC)
        due = sorted((each for each in self._tiers if each[0] <= now), key=lambda each: each[0])
        self._tiers = [each for each in self._tiers if each[0] > now]
        for _, message in due:
            if message.routing_key in self._queues:
                self._queues[message.routing_key].append(Item(message))

    @property
    def next_return(self) -> datetime | None:
        """When the next one comes back from a tier."""
        return min((back for back, _ in self._tiers), default=None)

    def _targets(self, message: Message) -> list[str]:
        if message.exchange == EVENTS:
            return [name for name, each in self._takers.items() if each.takes(message.routing_key)]
        if message.exchange == DEAD:
            return [DEAD_LETTERS]
        return [message.routing_key] if message.routing_key in self._queues else []
