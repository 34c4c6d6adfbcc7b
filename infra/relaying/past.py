"""Backfills: events of the log go to one consumer's queue, slice by slice, over the relay's connection.

The log is what is read, and nothing is copied: once a slice is confirmed, one commit moves the backfill on. So a relay
that dies in between sends one slice twice at most, and the inbox drops it.
"""

import asyncio
import time
from datetime import UTC, datetime
from functools import partial

from infra.database import backfills
from infra.database.backfills import Sending, Slice
from infra.database.engine import Database
from infra.database.outbox import Due
from infra.errors import MessageRefused
from infra.faults import failpoint
from infra.rabbitmq.messages import Message, past_message
from infra.rabbitmq.publisher import Publisher
from infra.relaying.batches import Result
from infra.relaying.flow import Flow
from infra.relaying.queues import Queues, addressed
from infra.relaying.reading import Reading

#: Events in one slice, at most: so long a new event waits behind them here.
SLICE = 100
#: Seconds until the next look while a consumer has enough, or a rate is kept.
SOON = 0.1
#: Seconds between two looks while the outbox is never empty, and between two slices while it is full.
EVERY = 1.0


class Past:
    """The relay's third work, for the time that it holds the lease."""

    def __init__(self, database: Database, reading: Reading, publisher: Publisher, queues: Queues) -> None:
        self._database = database
        self._reading = reading
        self._publisher = publisher
        self._queues = queues
        self._flows: dict[str, Flow] = {}
        self._looked_at = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is time for a slice, even if new events wait."""
        return time.monotonic() >= self._looked_at + EVERY

    @property
    def is_under_way(self) -> bool:
        """Whether there was something to send at the last look."""
        return bool(self._flows)

    def seconds(self) -> float | None:
        """Time until the next look; None while nothing is to be sent."""
        return SOON if self.is_under_way else None

    async def turn(self) -> bool:
        """Send a slice of each backfill that has room; whether there may be more at once.

        Raises:
            BrokerUnavailable: the connection was lost.
            DatabaseUnavailable: the database is away; what was confirmed and not written down is sent again.
        """
        self._looked_at = time.monotonic()
        found = await self._reading.backfills()
        self._flows = {one.operation_id: self._flows.get(one.operation_id) or Flow(one.rate) for one in found}
        held, _ = self._queues.holds.waiting()
        self._queues.holds.tidy([addressed(0, "", one.consumer) for one in found], (held, ()))
        return any([await self._further(one) for one in found if one.consumer not in held])

    async def _further(self, one: Sending) -> bool:
        if not one.joined:
            await self._join(one)
            return True
        flow = self._flows[one.operation_id]
        part = await self._reading.past(one, lambda in_flight: min(SLICE, flow.room(in_flight)))
        if part is None:
            return False
        await self._send(one, part, flow)
        return True

    async def _join(self, one: Sending) -> None:
        """Find the end of a backfill up to now, which leaves no gap before the first event that comes by the binding.

        What the log holds when the queue is bound may have been published before; all else is published after, since
        this relay is the only one that publishes and writes the log, and does one thing at a time.
        """
        await self._publisher.declare_again()
        await asyncio.wrap_future(self._database.submit(partial(backfills.join, one=one)))

    async def _send(self, one: Sending, part: Slice, flow: Flow) -> None:
        events, at = {each.position: each for each in part.events}, datetime.now(UTC)

        def message(row: Due) -> Message:
            event = events[row.sequence]
            return past_message(one.consumer, event.event_id, event.type, event.body.encode(), sent_at=at)

        rows = self._queues.choose([addressed(each.position, each.event_id, one.consumer) for each in part.events])
        result = await self._queues.send(rows, message)
        failpoint("backfill.after-confirm", one.consumer)
        end = _reached(one, part, result)
        sent = [events[row.sequence] for row in result.confirmed if row.sequence <= end]
        flow.took(len(sent))
        if end > one.sent:
            move = partial(backfills.move, one=one, end=end, sent=sent, at=at)
            await asyncio.wrap_future(self._database.submit(move))
        await self._queues.learn(result, len(rows))


def _reached(one: Sending, part: Slice, result: Result) -> int:
    """Up to where nothing is left to send; what AMQP never takes, which no event of the log should be, is passed."""
    refused = {row.sequence for row, error in result.failed.values() if isinstance(error, MessageRefused)}
    through = {row.sequence for row in result.confirmed} | refused
    left = [each.position for each in part.events if each.position not in through]
    if not left:
        return part.end
    return max((position for position in through if position < left[0]), default=one.sent)
