"""Moving messages from queue to queue, and making a queue anew: each is published with a confirm before it is acked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq import Channel as Wire
from aiormq import spec
from aiormq.abc import DeliveredMessage

from infra.rabbitmq.messages import Message
from infra.rabbitmq.topology import DEADLINE, OpenChannel, Queue

#: Messages that are taken, published and acked together.
PORTION = 200
#: Seconds without a further message after which others must have taken what waited.
_SILENCE = 1.0
#: What the broker writes itself begins like this; 3.10 would count a copied one on.
_BROKERS = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")


@dataclass(frozen=True, slots=True)
class Taken:
    """A message as it lay in a queue; its text form never shows the body."""

    exchange: str
    key: str
    properties: spec.Basic.Properties
    body: bytes = field(repr=False)

    @property
    def headers(self) -> dict[str, Any]:
        """Its headers without the broker's own."""
        headers: Mapping[str, Any] = self.properties.headers or {}
        return {name: value for name, value in headers.items() if not name.startswith(_BROKERS)}

    def with_headers(self, headers: dict[str, Any]) -> spec.Basic.Properties:
        """Its properties with other headers; without the user's name, which the broker lets only that user send."""
        properties = copy(self.properties)
        properties.headers, properties.user_id = headers, None
        return properties

    def message(self) -> Message:
        """The same as far as its properties make sense."""
        said = self.properties
        return Message(
            exchange=self.exchange,
            routing_key=self.key,
            body=self.body,
            message_id=_text(said.message_id),
            type=_text(said.message_type),
            headers=self.headers,
            correlation_id=_text(said.correlation_id) or None,
            timestamp=said.timestamp if isinstance(said.timestamp, datetime) else None,
            app_id=_text(said.app_id),
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a message goes, and what goes with it."""

    exchange: str
    key: str
    properties: spec.Basic.Properties


@dataclass(frozen=True, slots=True)
class Level:
    """What is in a queue now, exactly; what is delivered and not acked does not count."""

    messages: int
    consumers: int


Turn = Callable[[Taken], Sent]


async def level(open_channel: OpenChannel, queue: str) -> Level | None:
    """What is in a queue; None when there is none of this name."""
    try:
        async with _wire(open_channel) as wire:
            found = await wire.queue_declare(queue, passive=True, timeout=DEADLINE)
    except ChannelNotFoundEntity:
        return None
    return Level(found.message_count or 0, found.consumer_count or 0)


async def prepare(open_channel: OpenChannel, queue: Queue) -> bool:
    """Have a queue with its bindings; if there is one of its name, that, whatever its arguments. Whether there was."""
    was_there = await level(open_channel, queue.name) is not None
    async with _wire(open_channel) as wire:
        if not was_there:
            await wire.queue_declare(queue.name, durable=True, arguments=queue.arguments, timeout=DEADLINE)
        await _bind(wire, queue)
    return was_there


async def unbind(open_channel: OpenChannel, queue: str, bindings: Iterable[tuple[str, str]]) -> None:
    """Take bindings away; one that is not there is no error."""
    async with _wire(open_channel) as wire:
        await _unbind(wire, queue, bindings)


async def move(open_channel: OpenChannel, queue: str, turn: Turn, most: int = PORTION) -> int:
    """Move some messages on; gives how many. What is not confirmed stays, and may be there twice."""
    async with _wire(open_channel) as wire:
        return await _move(wire, queue, turn, most)


async def delete(open_channel: OpenChannel, queue: str) -> int:
    """Delete a queue; gives how many messages went with it."""
    async with _wire(open_channel) as wire:
        return await _delete(wire, queue)


async def finish(open_channel: OpenChannel, queue: str, turn: Turn) -> int:
    """Move on what is left in a queue that is bound to nothing, and delete it; gives how many messages went with it."""
    if await level(open_channel, queue) is None:
        return 0
    async with _wire(open_channel) as wire:
        await _empty(wire, queue, turn)
        return await _delete(wire, queue)


async def replace(open_channel: OpenChannel, queue: Queue, turn: Turn, unbound: Iterable[tuple[str, str]]) -> int:
    """Make a queue anew with its arguments, in one go once it is empty; gives how many messages came in between.

    For some milliseconds there is none: what returns from a retry tier then waits there for three minutes more.
    """
    async with _wire(open_channel) as wire:
        await _unbind(wire, queue.name, unbound)
        await _empty(wire, queue.name, turn)
        gone = await _delete(wire, queue.name)
        await wire.queue_declare(queue.name, durable=True, arguments=queue.arguments, timeout=DEADLINE)
        await _bind(wire, queue)
    return gone


async def _empty(wire: Wire, queue: str, turn: Turn) -> None:
    while (await wire.queue_declare(queue, passive=True, timeout=DEADLINE)).message_count:
        await _move(wire, queue, turn, PORTION)


async def _delete(wire: Wire, queue: str) -> int:
    return (await wire.queue_delete(queue, timeout=DEADLINE)).message_count or 0


async def _move(wire: Wire, queue: str, turn: Turn, most: int) -> int:
    """By a consumer: of more than 32 messages of `basic.get` acks are lost when the channel closes (quorum queues)."""
    waiting = (await wire.queue_declare(queue, passive=True, timeout=DEADLINE)).message_count or 0
    if not waiting:
        return 0
    rounds: list[dict[str, tuple[Taken, Sent]]] = []
    taken = await _taken(wire, queue, min(waiting, most))
    for each in taken:
        one = Taken(each.exchange or "", each.routing_key or "", each.header.properties, each.body)
        _into_a_round(rounds, one, turn(one))
    for together in rounds:
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*(_publish(wire, *one) for one in together.values()))
    if taken:
        await wire.basic_ack(taken[-1].delivery_tag or 0, multiple=True)
    return len(taken)


async def _taken(wire: Wire, queue: str, most: int) -> list[DeliveredMessage]:
    """So many messages, or fewer when others take them first."""
    found: list[DeliveredMessage] = []
    came: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
    await wire.basic_qos(prefetch_count=most, timeout=DEADLINE)
    tag = (await wire.basic_consume(queue, came.put, timeout=DEADLINE)).consumer_tag or ""
    with suppress(TimeoutError):
        while len(found) < most:
            async with asyncio.timeout(_SILENCE):
                found.append(await came.get())
    await wire.basic_cancel(tag, timeout=DEADLINE)
    while not came.empty():
        found.append(came.get_nowait())
    return found


def _into_a_round(rounds: list[dict[str, tuple[Taken, Sent]]], taken: Taken, sent: Sent) -> None:
    """Of those with the same message id one at a time is in flight: aiormq tells returned ones by nothing else."""
    name = sent.properties.message_id or ""
    into = next((each for each in rounds if name not in each), None)
    if into is None:
        rounds.append(into := {})
    into[name] = (taken, sent)


async def _publish(wire: Wire, taken: Taken, sent: Sent) -> None:
    await wire.basic_publish(
        taken.body, exchange=sent.exchange, routing_key=sent.key, properties=sent.properties, mandatory=True
    )


async def _bind(wire: Wire, queue: Queue) -> None:
    for key in queue.keys:
        await wire.queue_bind(queue.name, queue.exchange, key, timeout=DEADLINE)


async def _unbind(wire: Wire, queue: str, bindings: Iterable[tuple[str, str]]) -> None:
    for exchange, key in bindings:
        await wire.queue_unbind(queue, exchange, key, timeout=DEADLINE)


@asynccontextmanager
async def _wire(open_channel: OpenChannel) -> AsyncIterator[Wire]:
    channel: AbstractChannel = await open_channel()
    try:
        wire = await channel.get_underlay_channel()
        assert isinstance(wire, Wire)
        yield wire
    finally:
        await channel.close()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
