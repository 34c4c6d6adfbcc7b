"""The exchanges and queues of Tidings: their names, kinds and arguments, and how they are declared."""

from collections.abc import Iterable, Sequence
from typing import Any

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelPreconditionFailed

from infra.errors import TopologyConflict

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
#: Seconds for one declaration.
DEADLINE = 10.0

#: A consumer to declare: its name, the event types or `#`, and what the management UI says of its queue.
Consumer = tuple[str, Sequence[str], str]
Arguments = dict[str, Any]

#: At-least-once silently falls back to at-most-once without `reject-publish`.
_AT_LEAST_ONCE = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
_EVENTS_DESCRIPTION = "Every event, under its type as routing key"


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
    """Arguments of the dead letters' queue: nothing in it ever expires."""
    return {"x-queue-type": "quorum", "x-description": "What was given up, with its reason; waits for a replay"}


def tier_at_least(seconds: float) -> tuple[int, str]:
    """Delay and name of the shortest tier that waits this long, or of the longest tier if none does."""
    return next(((delay, TIERS[delay]) for delay in sorted(TIERS) if delay >= seconds), (max(TIERS), TIERS[max(TIERS)]))


async def declare(channel: AbstractChannel, consumers: Iterable[Consumer]) -> None:
    """Declare everything, and before each queue what it dead-letters to; what exists already stays as it is.

    The channel is closed by the broker when this raises.

    Raises:
        TopologyConflict: an exchange or queue exists with other arguments.
    """
    await _declare_dead_letters(channel)
    await _exchange(channel, EVENTS, ExchangeType.TOPIC, {"x-description": _EVENTS_DESCRIPTION})
    for seconds, tier in TIERS.items():
        await _exchange(channel, tier, ExchangeType.FANOUT)
        await _queue(channel, tier, tier_queue_arguments(seconds), bound_to=tier)
    for name, types, description in consumers:
        await _queue(channel, name, consumer_queue_arguments(description), bound_to=EVENTS, keys=types)


async def _declare_dead_letters(channel: AbstractChannel) -> None:
    await _exchange(channel, DEAD, ExchangeType.FANOUT)
    await _queue(channel, DEAD_LETTERS, dead_letters_queue_arguments(), bound_to=DEAD)


async def _exchange(
    channel: AbstractChannel, name: str, kind: ExchangeType, arguments: Arguments | None = None
) -> None:
    try:
        await channel.declare_exchange(name, kind, durable=True, arguments=arguments, timeout=DEADLINE)
    except ChannelPreconditionFailed as error:
        raise _conflict("exchange", name, error) from error


async def _queue(
    channel: AbstractChannel, name: str, arguments: Arguments, *, bound_to: str, keys: Sequence[str] = ("",)
) -> None:
    try:
        queue = await channel.declare_queue(name, durable=True, arguments=arguments, timeout=DEADLINE)
    except ChannelPreconditionFailed as error:
        raise _conflict("queue", name, error) from error
    for key in keys:
        await queue.bind(bound_to, key, timeout=DEADLINE)


def _conflict(kind: str, name: str, error: ChannelPreconditionFailed) -> TopologyConflict:
    return TopologyConflict(
        f"The {kind} {name!r} exists on the broker with other arguments ({error}). "
        f"Empty it, delete it in the management UI, and run ./tidings consumers declare."
    )
