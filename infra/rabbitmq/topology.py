"""The exchanges and queues of Tidings: their names, kinds and arguments, and how they are declared."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused

#: Topic exchange of all events; the routing key is the event's type.
EVENTS = "events"
#: Fanout exchange for what is given up, by us or by the broker.
DEAD = "dead"
#: The one queue behind `DEAD`.
DEAD_LETTERS = "dead-letters"
#: Delay in seconds -> name of the fanout exchange, and of the queue behind it, where a retry waits that long.
TIERS: dict[int, str] = {5: "retry.5s", 30: "retry.30s", 120: "retry.2m", 600: "retry.10m", 3600: "retry.1h"}
#: Deliveries of one message that may end without our word (a crash, say) before the broker itself gives it up.
DELIVERY_LIMIT = 20
#: As good as none for the dead letters: 4.x drops at 20 what is not told, and counts on from where it was given up.
NO_DELIVERY_LIMIT = 1_000_000_000
#: Seconds for one declaration.
DEADLINE = 10.0

#: A consumer to declare: its name, the event types or `#`, and what the management UI says of its queue.
Consumer = tuple[str, Sequence[str], str]
Arguments = dict[str, Any]

#: Opens a further channel of a connection.
OpenChannel = Callable[[], Awaitable[AbstractChannel]]

#: At-least-once silently falls back to at-most-once without `reject-publish`.
_AT_LEAST_ONCE = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
_EVENTS_DESCRIPTION = "Every event, under its type as routing key"


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as it should be."""

    name: str
    arguments: Arguments
    #: What it is bound to …
    exchange: str
    #: … by these routing keys.
    keys: tuple[str, ...] = ("",)


@dataclass(slots=True)
class Declared:
    """What a declaration found on the broker."""

    #: What exists with other arguments and is used as it is, a line each.
    conflicts: list[str] = field(default_factory=list)
    #: Queues that did not exist -> when they were made and bound: nothing that was published before waits in them.
    made: dict[str, datetime] = field(default_factory=dict)
    #: Messages that wait in each of the other queues; those that are delivered and not acked do not count.
    waiting: dict[str, int] = field(default_factory=dict)


def consumer_queue_arguments(description: str) -> Arguments:
    """Arguments of a consumer's queue: what the broker gives up goes to the dead letters, never to a retry tier."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": DEAD,
        **_AT_LEAST_ONCE,
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-description": description,
    }


def tier_queue_arguments(seconds: int) -> Arguments:
    """Arguments of a tier's queue: no dead-letter routing key, so a message returns to the queue that its own names."""
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": seconds * 1000,
        "x-dead-letter-exchange": "",
        **_AT_LEAST_ONCE,
        "x-description": f"Retries that wait {seconds} s, then return to the queue that their routing key names",
    }


def dead_letters_queue_arguments() -> Arguments:
    """Arguments of the dead letters' queue: nothing in it ever expires, or is given up a second time."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": NO_DELIVERY_LIMIT,
        "x-description": "What was given up, with its reason; waits for a replay",
    }


def tier_at_least(seconds: float) -> tuple[int, str]:
    """Delay and name of the shortest tier that waits this long, or of the longest tier if none does."""
    return next(((delay, TIERS[delay]) for delay in sorted(TIERS) if delay >= seconds), (max(TIERS), TIERS[max(TIERS)]))


def exchanges() -> dict[str, ExchangeType]:
    """All exchanges; the dead letters' one comes first, for every queue needs it."""
    return {DEAD: ExchangeType.FANOUT, EVENTS: ExchangeType.TOPIC, **dict.fromkeys(TIERS.values(), ExchangeType.FANOUT)}


def queues(consumers: Iterable[Consumer]) -> list[Queue]:
    """All queues with these consumers', and before each one what it dead-letters to."""
    tiers = [Queue(tier, tier_queue_arguments(seconds), tier) for seconds, tier in TIERS.items()]
    own = [Queue(name, consumer_queue_arguments(text), EVENTS, tuple(types)) for name, types, text in consumers]
    return [Queue(DEAD_LETTERS, dead_letters_queue_arguments(), DEAD), *tiers, *own]


async def declare(
    open_channel: OpenChannel,
    consumers: Iterable[Consumer],
    *,
    found: Declared,
    known: Collection[str] = (),
) -> None:
    """Declare everything, and before each queue what it dead-letters to; what exists already stays as it is.

    `found` is filled, up to where this raises if it does. A consumer's queue is unbound from those of the `known` keys
    that the consumer does not list.
    """
    declaring = _Declaring(open_channel, found)
    for name, kind in exchanges().items():
        arguments = {"x-description": _EVENTS_DESCRIPTION} if name == EVENTS else None
        await declaring.exchange(name, kind, arguments)
    for queue in queues(consumers):
        await declaring.queue(queue.name, queue.arguments, bound_to=queue.exchange, keys=queue.keys)
        if queue.exchange == EVENTS:
            await declaring.unbind(queue.name, EVENTS, [key for key in known if key not in queue.keys])
    await declaring.close()


class _Declaring:
    """Declares one thing after the other; a conflict costs the channel, and not what follows."""

    def __init__(self, open_channel: OpenChannel, found: Declared) -> None:
        self._open = open_channel
        self._channel: AbstractChannel | None = None
        self._found = found

    async def exchange(self, name: str, kind: ExchangeType, arguments: Arguments | None = None) -> None:
        channel = await self._opened()
        with self._noting("exchange", name):
            await channel.declare_exchange(name, kind, durable=True, arguments=arguments, timeout=DEADLINE)

    async def queue(self, name: str, arguments: Arguments, *, bound_to: str, keys: Sequence[str] = ("",)) -> None:
        is_missing = await self._look(name)
        channel = await self._opened()
        with self._noting("queue", name):
            await channel.declare_queue(name, durable=True, arguments=arguments, timeout=DEADLINE)
        queue = await (await self._opened()).get_queue(name, ensure=False)
        for key in keys:
            await queue.bind(bound_to, key, timeout=DEADLINE)
        if is_missing:
            self._found.made[name] = datetime.now(UTC)

    async def unbind(self, name: str, exchange: str, keys: Iterable[str]) -> None:
        """To unbind what is not bound is no error."""
        queue = await (await self._opened()).get_queue(name, ensure=False)
        for key in keys:
            await queue.unbind(exchange, key, timeout=DEADLINE)

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()

    async def _look(self, name: str) -> bool:
        """Whether the queue is missing, as far as we may know; if not, note what waits in it."""
        channel = await self._opened()
        try:
            queue = await channel.declare_queue(name, passive=True, timeout=DEADLINE)
        except (ChannelNotFoundEntity, ChannelAccessRefused) as error:
            self._channel = None  # the broker closed it
            return isinstance(error, ChannelNotFoundEntity)
        self._found.waiting[name] = queue.declaration_result.message_count or 0
        return False

    async def _opened(self) -> AbstractChannel:
        if self._channel is None:
            self._channel = await self._open()
        return self._channel

    @contextmanager
    def _noting(self, kind: str, name: str) -> Iterator[None]:
        try:
            yield
        except ChannelPreconditionFailed as error:
            self._channel = None  # the broker closed it
            self._found.conflicts.append(
                f"The {kind} {name!r} exists on the broker with other arguments ({error}). "
                f"It is used as it is until ./tidings topology apply."
            )
