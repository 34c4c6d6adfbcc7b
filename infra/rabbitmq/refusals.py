"""What it means that a publish failed: which error of ours stands for one of the library's."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aio_pika.exceptions import ChannelPreconditionFailed, DeliveryError, PublishError
from aiormq.exceptions import ChannelAccessRefused

from infra.errors import (
    BrokerUnavailable,
    ChannelRefused,
    MessageRefused,
    NotConfirmed,
    PublishRejected,
    TidingsError,
    Unroutable,
)
from infra.rabbitmq.link import Link
from infra.rabbitmq.messages import Message


def of(link: Link, message: Message, error: BaseException, deadline: float) -> TidingsError:
    """The error of ours; the link notes a rejection, and that no confirm came within the deadline (seconds)."""
    what = f"the event {message.message_id} ({message.type})"
    match error:
        case PublishError():
            return Unroutable(f"No queue takes {what}: declare a consumer (./tidings consumers declare).")
        case DeliveryError():
            link.rejected = True
            return PublishRejected(f"A queue did not take {what}: it is full, or its leader is away.")
        case TimeoutError():
            link.doubtful = True
            return NotConfirmed(f"RabbitMQ did not confirm {what} within {deadline:g} s.")
        case TypeError() | ValueError():
            return MessageRefused(f"AMQP cannot carry {what}: {error}.")
        case _:
            return _loss(link, what, error)


def text(error: BaseException) -> str:
    """What an error says, or its class."""
    return str(error) or type(error).__name__


def _loss(link: Link, what: str, error: BaseException) -> TidingsError:
    """Why a channel was lost: over this publish, over another one, or for reasons of its own."""
    refused = isinstance(error, ChannelPreconditionFailed | ChannelAccessRefused)
    if not refused:
        return BrokerUnavailable(f"The connection to RabbitMQ was lost: {text(error)}.")
    if not link.lost_alone:
        return ChannelRefused(f"RabbitMQ refused one of several messages: {error}.")
    kind = MessageRefused if isinstance(error, ChannelPreconditionFailed) else PublishRejected
    return kind(f"RabbitMQ refuses {what}: {error}.")


@contextmanager
def told_of_a_loss() -> Iterator[None]:
    """aiormq ends what waits on a dead connection with a CancelledError, though no task of ours was cancelled."""
    try:
        yield
    except asyncio.CancelledError:
        if _is_cancelled():
            raise
        raise BrokerUnavailable("RabbitMQ gave no sign of life: the connection was lost.") from None


def _is_cancelled() -> bool:
    """Whether this task was cancelled, rather than a future that aiormq ended with a CancelledError of its own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
