"""A model of the broker: queues that keep what nobody acknowledged, tiers, and the many ways of delivering twice."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from infra.rabbitmq.messages import Message
from infra.rabbitmq.topology import DEAD, DEAD_LETTERS, EVENTS, TIERS


@dataclass(eq=False)
class Item:
    """A message in a queue, or on its way to a worker."""

    message: Message
    queue: str
    #: The broker gave it out before.
    redelivered: bool = False

    @property
    def event_id(self) -> str:
        return str(json.loads(self.message.body)["id"])

    @property
    def consumer(self) -> str:
        """Whose it is, wherever it waits."""
        return self.message.routing_key if self.queue in TIERS.values() else self.owner

    @property
    def owner(self) -> str:
        return self.message.routing_key if self.queue == DEAD_LETTERS else self.queue


class ModelBroker:
    """What RabbitMQ promises, and no more than that."""

    def __init__(self, bindings: Mapping[str, Iterable[str]]) -> None:
        self._bindings = {queue: set(types) for queue, types in bindings.items()}
        self.queues: dict[str, list[Item]] = {name: [] for name in (*bindings, DEAD_LETTERS, *TIERS.values())}
        self.in_flight: list[Item] = []

    def publish(self, message: Message) -> None:
        """Take a message over, into each queue that it is for."""
        for queue in self._takers(message):
            self.queues[queue].append(Item(message, queue))

    def take(self, item: Item) -> None:
        """Deliver it: it is the worker's until it is acknowledged or the connection ends."""
        self.queues[item.queue].remove(item)
        self.in_flight.append(item)

    def acknowledge(self, item: Item) -> None:
        self.in_flight.remove(item)

    def give_back(self, item: Item) -> None:
        """Back to the head of its queue."""
        self.in_flight.remove(item)
        self.queues[item.queue].insert(0, replace(item, redelivered=True))

    def lose_connection(self) -> None:
        for item in reversed(self.in_flight.copy()):
            self.give_back(item)

    def give_up(self, item: Item, reason: str) -> None:
        """Move it to the dead letters itself, as after too many deliveries."""
        (self.in_flight if item in self.in_flight else self.queues[item.queue]).remove(item)
        death = {"queue": item.queue, "reason": reason, "count": 1, "time": datetime.now(UTC), "exchange": ""}
        message = replace(item.message, headers={**item.message.headers, "x-death": [death]}, routing_key=item.queue)
        self.queues[DEAD_LETTERS].append(Item(message, DEAD_LETTERS))

    def expire(self, item: Item) -> None:
        """Its time in the tier is over."""
        self.queues[item.queue].remove(item)
        queue = item.message.routing_key
        self.queues[queue].append(Item(item.message, queue))

    def empty(self, queue: str) -> list[Item]:
        """The queue is deleted and made again; gives what was in it."""
        lost = [item for item in self.in_flight if item.queue == queue] + self.queues[queue]
        self.in_flight = [item for item in self.in_flight if item.queue != queue]
        self.queues[queue] = []
        return lost

    def waiting(self, *queues: str) -> list[Item]:
        return [item for queue in queues for item in self.queues[queue]]

    def all(self) -> list[Item]:
        return [*self.in_flight, *self.waiting(*self.queues)]

    def _takers(self, message: Message) -> list[str]:
        if message.exchange == EVENTS:
            return [queue for queue, types in self._bindings.items() if message.routing_key in types]
        if message.exchange == DEAD:
            return [DEAD_LETTERS]
        return [message.exchange or message.routing_key]  # a tier's queue has the name of its exchange
