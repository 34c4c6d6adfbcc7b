"""Resends: what a replay or the sweep wants delivered again goes to the one queue, over the relay's connection."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from sqlmodel import Session

from infra.database import replays, resends
from infra.database.engine import Database
from infra.database.outbox import Due
from infra.database.recovery_tables import Resend
from infra.errors import MessageRefused
from infra.faults import failpoint
from infra.rabbitmq.messages import Message, resent_message
from infra.relaying.queues import Queues, addressed
from infra.relaying.reading import Reading

#: Messages in one batch, at most.
BATCH = 200
#: Seconds between two looks while the outbox is never empty.
EVERY = 1.0


class Resending:
    """The relay's second work, for the time that it holds the lease; a message that is sent twice does no harm."""

    def __init__(self, database: Database, reading: Reading, queues: Queues) -> None:
        self._database = database
        self._reading = reading
        self._queues = queues
        self._looked_at = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is time for a look, even if there is other work."""
        return time.monotonic() >= self._looked_at + EVERY

    async def turn(self) -> bool:
        """Send what waits; whether there may be more.

        Raises:
            BrokerUnavailable: the connection was lost.
            DatabaseUnavailable: the database is away; what was confirmed and not removed is sent again.
        """
        self._looked_at = time.monotonic()
        held, _ = self._queues.holds.waiting()
        found = {row.sequence or 0: row for row in await self._reading.resends(BATCH, held)}
        rows = [_due(row) for row in found.values()]
        if len(rows) < BATCH:
            self._queues.holds.tidy(rows, (held, ()))
        if chosen := self._queues.choose(rows):
            await self._send_all(chosen, found)
        return bool(chosen)

    async def _send_all(self, rows: Sequence[Due], found: dict[int, Resend]) -> None:
        result = await self._queues.send(rows, lambda row: _message(found[row.sequence]))
        failpoint("resend.after-confirm")
        sent = [found[row.sequence] for row in result.confirmed]
        refused = {row.sequence: error for row, error in result.failed.values() if isinstance(error, MessageRefused)}
        if sent or refused:
            settle = partial(_settle, sent=sent, refused=[(found[row], str(why)) for row, why in refused.items()])
            await asyncio.wrap_future(self._database.submit(settle))
        await self._queues.learn(result, len(rows))


def _due(row: Resend) -> Due:
    return addressed(row.sequence or 0, row.event_id or row.dead_letter_id or "", row.consumer)


def _message(row: Resend) -> Message:
    name = row.event_id or row.dead_letter_id or ""
    return resent_message(
        row.consumer,
        row.body,
        name=name,
        event_type=row.type,
        dead_letter=row.dead_letter_id,
        backfilled_at=datetime.now(UTC) if row.backfilled else None,
    )


def _settle(session: Session, *, sent: Sequence[Resend], refused: Sequence[tuple[Resend, str]]) -> None:
    resends.remove(session, [*sent, *(row for row, _ in refused)])
    for row, why in refused:
        if row.dead_letter_id is not None:
            replays.refuse(session, row.dead_letter_id, why)
