"""The bell of PostgreSQL: NOTIFY by whoever rings, LISTEN by whoever listens."""

import asyncio
from collections.abc import Callable

import psycopg
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

log = structlog.get_logger(__name__)

#: The channel of the notifications, whose payload is empty.
CHANNEL = "tidings_outbox"
#: Seconds between two attempts to connect.
_PAUSE = 1.0


class NotifyBell:
    """Rings after the commit and not in it: commits that notify wait for one another in the whole server."""

    def __init__(self, autocommit: Engine) -> None:
        self._engine = autocommit
        self._answering = False

    def ring(self) -> None:
        """Notify the listener, unless it is in this process; never fails."""
        if self._answering:
            return
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql(f"SELECT pg_notify('{CHANNEL}', '')")
        except (SQLAlchemyError, psycopg.Error) as error:
            log.debug("notification not sent", error=type(error).__name__)

    async def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` at each connection and notification, until cancelled; reconnects by itself."""
        self._answering = True
        try:
            while True:
                try:
                    await self._listen_once(wake)
                except psycopg.Error as error:
                    log.warning("notifications lost", error=type(error).__name__)
                await asyncio.sleep(_PAUSE)
        finally:
            self._answering = False

    async def _listen_once(self, wake: Callable[[], None]) -> None:
        _, how = self._engine.dialect.create_connect_args(self._engine.url)
        async with await psycopg.AsyncConnection.connect(**how, autocommit=True) as connection:
            await connection.execute(f"LISTEN {CHANNEL}".encode())
            wake()  # for what was added while nobody listened
            async for _ in connection.notifies():
                wake()
