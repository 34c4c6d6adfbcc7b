"""What the relay reads from the database, on a thread of its own."""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

from sqlmodel import Session

from infra.database import backfills, consumers, outbox, resends
from infra.database.backfills import Sending, Slice
from infra.database.engine import Database
from infra.database.outbox import Due
from infra.database.recovery_tables import Resend
from infra.rabbitmq.topology import Consumer

T = TypeVar("T")


class Reading:
    """One look at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(1, "relay")

    async def due(self, most: int, types: Collection[str], rows: Collection[int]) -> tuple[list[Due], datetime | None]:
        """What is due without these types and rows; if that is nothing, when the next row will be."""

        def look(session: Session) -> tuple[list[Due], datetime | None]:
            now = datetime.now(UTC)
            due = outbox.due(session, most, now=now, without_types=types, without_rows=rows)
            return due, None if due else outbox.next_at(session, now=now)

        return await self._read(look)

    async def resends(self, most: int, without: Collection[str]) -> list[Resend]:
        """What waits to be sent to one consumer's queue alone, but for these consumers."""
        return await self._read(lambda session: resends.waiting(session, most, without=without))

    async def backfills(self) -> list[Sending]:
        """The backfills that have something to send."""
        return await self._read(backfills.to_send)

    async def past(self, one: Sending, room: Callable[[int], int]) -> Slice | None:
        """What comes next of one, when there is room for it beside so many that are on their way."""

        def look(session: Session) -> Slice | None:
            most = room(backfills.in_flight(session, one))
            return backfills.next_slice(session, one, most) if most else None

        return await self._read(look)

    async def consumers(self) -> list[Consumer]:
        """Whose queues to declare."""
        rows = await self._read(consumers.declared)
        return [(row.consumer, row.types, row.description) for row in rows]

    async def ring(self) -> None:
        """Wake whichever relay listens, from this thread since it may take a moment."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._database.bell.ring)

    def close(self) -> None:
        """End the thread; waits for nothing."""
        self._thread.shutdown(wait=False)

    async def _read(self, look: Callable[[Session], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._look, look)

    def _look(self, look: Callable[[Session], T]) -> T:
        with self._database.reading() as session:
            return look(session)
