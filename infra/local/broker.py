"""The private RabbitMQ node as something that the supervisor starts, watches and stops."""

import asyncio
import os
import signal

from infra.errors import BrokerUnavailable
from infra.local.node import Node

#: How often the node's process is looked at, in seconds.
_POLL = 0.2


class Broker:
    """A node behind the same methods as any other program."""

    name = "rabbitmq"

    def __init__(self, node: Node) -> None:
        self._node = node
        self._starting: asyncio.Future[None] | None = None

    @property
    def probe(self) -> str:
        """URL whose port is open when the broker listens."""
        return self._node.amqp

    @property
    def pid(self) -> int | None:
        """The broker's process."""
        return self._node.pid

    async def start(self) -> None:
        """Start the node; a caller that is cancelled leaves no half-started node behind."""
        self._starting = asyncio.ensure_future(asyncio.to_thread(self._node.start))
        await asyncio.shield(self._starting)

    async def is_ready(self) -> bool:
        """Whether AMQP and the management API answer."""
        return await asyncio.to_thread(self._node.is_ready)

    async def died(self) -> str:
        """Wait for the end of the broker."""
        while self._node.pid is not None:  # noqa: ASYNC110  # another process: it sets no event of ours
            await asyncio.sleep(_POLL)
        return f"see {self._node.log}"

    async def stop(self, seconds: float) -> None:
        """End the broker in order, by force after `seconds`, then its name server."""
        if self._starting is not None:
            await asyncio.wait({self._starting})
        await asyncio.to_thread(self._node.stop, seconds)

    def kill(self) -> None:
        """End the broker at once."""
        if (pid := self._node.pid) is not None:
            os.kill(pid, signal.SIGKILL)

    async def last_words(self) -> str:
        """What it said while it booted."""
        try:
            await asyncio.to_thread(self._node.wait_ready, 0)
        except BrokerUnavailable as error:
            return str(error)
        return f"see {self._node.log}"
