"""One AMQP connection with its one confirming channel; when it is lost it is not mended but replaced."""

import asyncio
import os
import socket
import time
from contextlib import suppress
from typing import Self

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.connection import make_url
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from aiormq import Channel as Wire
from aiormq import spec

from infra.rabbitmq.messages import CONTENT_TYPE, Message

#: Seconds between the broker's signs of life, as negotiated.
HEARTBEAT = 10
#: Seconds that a link must have lasted before a rejection is a reason to replace it: a full queue rejects all the time.
FRESH = 1.0
#: Seconds that an orderly goodbye may take.
CLOSING = 5.0
#: A body of so many bytes waits until the socket took it, so that a broker that does not read cannot fill our memory.
_LARGE = 16 * 1024
_PERSISTENT = 2


class Link:
    """Publishes over one channel, in the order of the calls, and tells confirmed, returned and lost apart."""

    def __init__(self, connection: AbstractConnection, channel: AbstractChannel, wire: Wire, seconds: float) -> None:
        self._seconds = seconds
        self._connection = connection
        # Nothing else keeps it: aiormq's own reference is weak.
        self._channel = channel
        self._wire = wire
        self._in_flight: dict[str, asyncio.Future[None]] = {}
        self._lost_alone: bool | None = None
        #: A publish on it ended without the broker's word, which may still come: publish nothing more here.
        self.doubtful = False
        #: A queue rejected a publish on it.
        self.rejected = False
        self._opened_at = time.monotonic()

    @classmethod
    async def open(cls, url: str, *, name: str, seconds: float) -> Self:
        """Connect, and open the channel.

        Raises:
            Exception: one of aio-pika's `CONNECTION_EXCEPTIONS`, or TimeoutError.
        """
        # Not `aio_pika.connect`: an attempt that fails leaves an object there that is not closed, and whichever thread
        # collects this garbage would close it, in an event loop of its own or in none.
        connection = aio_pika.Connection(
            make_url(url, heartbeat=HEARTBEAT), client_properties={"connection_name": _full(name)}
        )
        try:
            await connection.connect(timeout=seconds)
            async with asyncio.timeout(seconds):
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                wire = await channel.get_underlay_channel()
            assert isinstance(wire, Wire)
            return cls(connection, channel, wire, seconds)
        except BaseException:
            await _close(connection)
            raise

    @property
    def usable(self) -> bool:
        """Whether a publish makes sense."""
        return not self.doubtful and self.is_open and not self._wire.is_closed

    @property
    def stale(self) -> bool:
        """Whether a new one may do better: 3.10 never tells an open channel where a queue's new leader is."""
        return self.rejected and not self._in_flight and time.monotonic() - self._opened_at > FRESH

    @property
    def is_open(self) -> bool:
        """Whether the connection is up, as far as one can know."""
        return self._connection.connected.is_set()

    async def send(self, message: Message) -> None:
        """Publish, mandatory and persistent, and wait for the broker's ack.

        aiormq tells returned messages by their message id alone, so a second one with the same id waits for the first.

        Raises:
            Exception: what aiormq raises for all that is not an ack.
        """
        while (other := self._in_flight.get(message.message_id)) is not None:
            await asyncio.wait([other])
        done = self._in_flight[message.message_id] = asyncio.get_running_loop().create_future()
        try:
            await self._wire.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=properties(message),
                mandatory=True,
                wait=len(message.body) > _LARGE,
            )
        except (*CONNECTION_EXCEPTIONS, asyncio.CancelledError):
            self._note_whether_alone()
            raise
        finally:
            del self._in_flight[message.message_id]
            done.set_result(None)

    @property
    def lost_alone(self) -> bool:
        """Whether the publish that the channel was lost over was the only one in flight."""
        return bool(self._lost_alone)

    async def channel(self) -> AbstractChannel:
        """A further channel, for what may close its channel: declarations, and whatever moves messages."""
        async with asyncio.timeout(self._seconds):
            return await self._connection.channel(publisher_confirms=True, on_return_raises=True)

    async def unblocked(self) -> None:
        """Wait until the broker takes messages again; returns at once unless it said that it does not."""
        if self._connection.transport is not None:
            await self._connection.transport.ready()

    async def close(self) -> None:
        """Say goodbye, in a few seconds or not at all; never raises."""
        await _close(self._connection)

    def _note_whether_alone(self) -> None:
        if self._lost_alone is None and self._wire.is_closed:
            self._lost_alone = len(self._in_flight) == 1


def _full(name: str) -> str:
    return f"tidings {name} {socket.gethostname()}#{os.getpid()}"


async def _close(connection: AbstractConnection) -> None:
    with suppress(*CONNECTION_EXCEPTIONS, TimeoutError):
        async with asyncio.timeout(CLOSING):
            await connection.close()


def properties(message: Message) -> spec.Basic.Properties:
    """What goes beside a message's bytes."""
    return spec.Basic.Properties(
        content_type=CONTENT_TYPE,
        headers=message.headers,
        delivery_mode=_PERSISTENT,
        correlation_id=message.correlation_id,
        message_id=message.message_id,
        timestamp=message.timestamp,
        message_type=message.type,
        app_id=message.app_id,
    )
