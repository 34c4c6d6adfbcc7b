"""PostgreSQL's LISTEN: wakes the relay when any process adds to the outbox; a lost wake-up costs time, nothing else."""

import asyncio
from collections.abc import Callable

import psycopg
import structlog
from sqlalchemy import URL

log = structlog.get_logger(__name__)

#: The channel on which the outbox's trigger notifies, with an empty payload.
CHANNEL = "tidings_outbox"
#: Seconds between two attempts to connect.
_PAUSE = 1.0
#: Seconds for one attempt.
_PATIENCE = 5


async def listen(url: URL, wake: Callable[[], None]) -> None:
    """Call `wake` at each notification, over a connection of its own, until cancelled; reconnects by itself."""
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
    while True:
        try:
            await _listen_once(conninfo, wake)
        except psycopg.Error as error:
            log.warning("notifications lost", error=type(error).__name__)
        await asyncio.sleep(_PAUSE)


async def _listen_once(conninfo: str, wake: Callable[[], None]) -> None:
    connect = psycopg.AsyncConnection.connect(conninfo, autocommit=True, connect_timeout=_PATIENCE)
    async with await connect as connection:
        await connection.execute(f"LISTEN {CHANNEL}".encode())
        wake()  # for what was added while nobody listened
        async for _ in connection.notifies():
            wake()
