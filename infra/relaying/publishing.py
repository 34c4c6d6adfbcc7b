"""The relay as a program runs it beside its own work: it publishes, or stands by while another program's does."""

import asyncio
import os
import secrets
import socket
from collections.abc import Sequence

from infra import metrics
from infra.database.engine import Database
from infra.database.outbox import Due
from infra.rabbitmq.publisher import Publisher
from infra.relaying.relay import Relay

#: Seconds until a task that was cancelled and goes on is cancelled again.
_AGAIN = 5.0


class Publishing:
    """A relay with a connection of its own; nothing connects before `run`."""

    def __init__(self, database: Database, broker: str, *, program: str) -> None:
        # Host and process alone are the same in two containers that share the host's name and are both its process 1.
        holder = f"{program} {socket.gethostname()}#{os.getpid()} {secrets.token_hex(4)}"
        self._publisher = Publisher(broker, name=program)
        self._relay = Relay(database, self._publisher, holder=holder)
        self._relay.on_published = _count
        database.on_outbox(self._relay.wake)
        metrics.CONNECTED.labels("publisher").set_function(lambda: self._publisher.connected)
        metrics.RELAY_ACTIVE.set_function(lambda: self._relay.state == "active")

    @property
    def state(self) -> str:
        """`active`, `standby` or `waiting for the broker`."""
        return self._relay.state

    @property
    def problem(self) -> str | None:
        """What keeps events from being published, in one line."""
        return self._relay.problem

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await self._relay.run()
        finally:
            await self._publisher.close()


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel a task for as long as it takes, and wait for its end.

    aiormq waits by `asyncio.wait_for`, which on Python 3.11 loses a cancellation that comes with the answer.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN)


def _count(published: Sequence[Due]) -> None:
    for row in published:
        metrics.EVENTS_PUBLISHED.labels(row.type).inc()
