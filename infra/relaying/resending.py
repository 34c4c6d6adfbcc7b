"""Resends: what a replay or the sweep wants delivered again goes to the one queue, over the relay's connection."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import structlog
from sqlmodel import Session

from infra.database import replays, resends
from infra.database.engine import Database
from infra.database.outbox import Due
from infra.database.recovery_tables import Resend
from infra.errors import BrokerUnavailable, ChannelRefused, MessageRefused, NotConfirmed, TidingsError, Unroutable
from infra.faults import failpoint
from infra.rabbitmq.messages import Message, resent_message
from infra.rabbitmq.publisher import Publisher
from infra.relaying import batches
from infra.relaying.batches import Result
from infra.relaying.holds import Holds
from infra.relaying.reading import Reading

log = structlog.get_logger(__name__)
#: Messages in one batch, at most.
BATCH = 200
#: Seconds between two looks while the outbox is never empty.
EVERY = 1.0


class Resending:
    """The relay's second work, for the time that it holds the lease; a message that is sent twice does no harm.

    A queue that takes nothing now is held back as an event's type is, and the others go on.
    """

    def __init__(self, database: Database, reading: Reading, publisher: Publisher, holds: Holds) -> None:
        self._database = database
        self._reading = reading
        self._publisher = publisher
        self._holds = holds
        self._looked_at = 0.0
        #: Messages to send one by one, to find the one that cost us the channel.
        self._one_by_one = 0

    @property
    def problem(self) -> str | None:
        """Why something waits here, in one line."""
        return self._holds.problem

    @property
    def is_due(self) -> bool:
        """Whether it is time for a look, even if there is other work."""
        return time.monotonic() >= self._looked_at + EVERY

    def seconds(self) -> float | None:
        """Time until what is held back may be tried again; None when nothing is."""
        return self._holds.seconds()

    async def turn(self) -> bool:
        """Send what waits; whether there may be more.

        Raises:
            BrokerUnavailable: the connection was lost.
            DatabaseUnavailable: the database is away; what was confirmed and not removed is sent again.
        """
        self._looked_at = time.monotonic()
        held, _ = self._holds.waiting()
        found = {row.sequence or 0: row for row in await self._reading.resends(BATCH, held)}
        rows = [_due(row) for row in found.values()]
        if len(rows) < BATCH:
            self._holds.tidy(rows, (held, ()))
        together, _ = self._holds.choose(rows)
        if together:
            await self._send_all(together[:1] if self._one_by_one else together, found)
        return bool(together)

    async def _send_all(self, rows: Sequence[Due], found: dict[int, Resend]) -> None:
        result = await batches.publish(rows, lambda row: self._publisher.publish(_message(found[row.sequence])))
        failpoint("resend.after-confirm")
        sent = [found[row.sequence] for row in result.confirmed]
        refused = {row.sequence: error for row, error in result.failed.values() if isinstance(error, MessageRefused)}
        if sent or refused:
            settle = partial(_settle, sent=sent, refused=[(found[row], str(why)) for row, why in refused.items()])
            await asyncio.wrap_future(self._database.submit(settle))
        self._learn(result, len(rows))
        if result.lost is not None:
            raise result.lost
        if any(isinstance(error, Unroutable) for _, error in result.failed.values()):
            await self._publisher.declare_again()

    def _learn(self, result: Result, tried: int) -> None:
        for row in result.confirmed:
            self._holds.published(row)
        for row, error in result.failed.values():
            if isinstance(error, MessageRefused):
                log.error("message cannot be resent", consumer=row.type, event_id=row.event_id, error=str(error))
            elif isinstance(error, NotConfirmed) or not isinstance(error, BrokerUnavailable):
                self._hold(row, error)
        if isinstance(result.lost, ChannelRefused):
            self._one_by_one = tried
        elif self._one_by_one:
            self._one_by_one -= 1

    def _hold(self, row: Due, error: TidingsError) -> None:
        if self._holds.failed(row, error):
            log.warning("message not resent", consumer=row.type, event_id=row.event_id, error=str(error))


def _due(row: Resend) -> Due:
    """In the shape that the relay's parts take: where it goes depends on its consumer, as an event's on its type."""
    return Due(row.sequence or 0, row.event_id or row.dead_letter_id or "", row.consumer, None, "", 0)


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
