"""How full queues are and who takes from them: asked of the broker itself, without a plugin, and without making any."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelNotFoundEntity
from aiormq.exceptions import ChannelAccessRefused

from infra.errors import BrokerUnavailable
from infra.hosts import each
from infra.rabbitmq import refusals
from infra.rabbitmq.link import Link

#: Seconds for one answer.
_DEADLINE = 5.0


@dataclass(frozen=True, slots=True)
class Depth:
    """One queue."""

    #: Messages that wait; those that are delivered and not acked do not count.
    waiting: int
    #: Worker processes that are attached to it.
    workers: int


def depths(url: str, queues: Iterable[str]) -> dict[str, Depth]:
    """Each of these queues that exists, and that this login may look at; over one connection, for a command.

    Raises:
        BrokerUnavailable: nobody answers.
    """
    return asyncio.run(_ask(url, list(queues)))


async def _ask(url: str, queues: list[str]) -> dict[str, Depth]:
    link = await _link(url)
    try:
        found: dict[str, Depth] = {}
        channel = await link.channel()
        for name in queues:
            try:
                queue = await channel.declare_queue(name, passive=True, timeout=_DEADLINE)
            except (ChannelNotFoundEntity, ChannelAccessRefused):
                channel = await link.channel()  # the broker closed the one before
                continue
            result = queue.declaration_result
            found[name] = Depth(result.message_count or 0, result.consumer_count or 0)
        return found
    except (TimeoutError, *CONNECTION_EXCEPTIONS) as error:
        raise BrokerUnavailable(f"RabbitMQ does not say what its queues hold: {refusals.text(error)}.") from error
    finally:
        await link.close()


async def _link(url: str) -> Link:
    """To the first host that takes us."""
    refusal: BaseException | None = None
    for host in each(url):
        try:
            return await Link.open(host, name="look", seconds=_DEADLINE)
        except (TimeoutError, *CONNECTION_EXCEPTIONS) as error:
            refusal = error
    raise BrokerUnavailable(f"RabbitMQ cannot be reached: {refusals.text(refusal or TimeoutError())}.") from refusal
