"""The relay: brings the events of the outbox to the broker, and moves those that it confirmed to the event log."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Literal, TypeVar

import structlog
from sqlmodel import Session

from infra.database import event_log, outbox
from infra.database.engine import Database
from infra.database.leases import Holding
from infra.database.outbox import Due
from infra.errors import (
    BrokerUnavailable,
    ChannelRefused,
    LeaseLost,
    MessageRefused,
    NotConfirmed,
    TidingsError,
    Unroutable,
)
from infra.faults import failpoint
from infra.rabbitmq.publisher import Publisher, event_message
from infra.relaying import batches, emptying, faltering, releasing
from infra.relaying.aside import Aside
from infra.relaying.batches import Result
from infra.relaying.holds import Holds
from infra.relaying.pace import Pace
from infra.relaying.reading import Reading
from infra.relaying.tenure import Tenure
from infra.relaying.trouble import Trouble

T = TypeVar("T")
State = Literal["active", "standby", "waiting for the broker"]
log = structlog.get_logger(__name__)

#: Name of the lease: one relay is active per database.
LEASE = "relay"
#: Seconds that the lease lasts from each renewal; the next relay takes over after this and one `tenure.EVERY`.
LEASE_SECONDS = 3.0
#: Events in one batch, at most.
BATCH = 200
#: Failed tries of a row that is at fault itself, before it is set aside.
SET_ASIDE_AFTER = 10
#: Seconds between a confirm and its record: the consumers, who have the event by now, need the write lock more.
SETTLE_AFTER = 0.005
#: Seconds between two looks into the outbox, for rows whose ring was lost.
POLL = 5.0
#: The same while an event waits for its time: the clock that says when may be stepped meanwhile.
CLOCK_POLL = 1.0
#: Seconds between two looks at whether a conflict on the broker is put right.
CONFLICT_POLL = 10.0


class Relay:
    """One per process that may publish; of all of them one is active, the others stand by."""

    def __init__(self, database: Database, publisher: Publisher, *, holder: str, holds: Holds | None = None) -> None:
        self._database = database
        self._publisher = publisher
        self._tenure = Tenure(database, Holding(LEASE, holder, LEASE_SECONDS))
        self._holds = holds or Holds()
        self._reading = Reading(database)
        self._aside = Aside(database, self._reading, publisher, self._holds)
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pace = Pace()
        self._trouble = Trouble("relay")
        self._listening = Trouble("bell")
        self._conflict_at = 0.0
        #: Rows to publish one by one, to find the one that cost us the channel.
        self._one_by_one = 0
        #: Called with each batch that was moved to the event log.
        self.on_published: Callable[[Sequence[Due]], None] = lambda _: None

    @property
    def state(self) -> State:
        """What this relay does, in words for people."""
        if not self._tenure.held:
            return "standby"
        return "active" if self._publisher.connected else "waiting for the broker"

    @property
    def problem(self) -> str | None:
        """Why events wait here, in one line for readiness; None while all is well, and on a stand-by."""
        if not self._tenure.held:
            return self._tenure.trouble.problem
        return self._trouble.problem or self._publisher.conflict or self._holds.problem or self._aside.problem

    def wake(self) -> None:
        """Look into the outbox now; may be called from any thread."""
        if self._loop is not None and not self._woken.is_set():
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> None:
        """Publish while the lease is ours, until cancelled; then give it back. Once per relay."""
        self._loop = asyncio.get_running_loop()
        self._publisher.on_connect(self._reading.consumers)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tenure.keep())
                group.create_task(self._listen_for_ever())
                await self._publish_for_ever()
        finally:
            await self._tenure.release()
            self._reading.close()

    async def _listen_for_ever(self) -> None:
        while True:
            await self._tenure.gained()
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001  # the slow poll takes its place meanwhile
                await self._listening.wait(error)

    async def _listen(self) -> None:
        """Be woken when another process adds events, while the lease is ours."""
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._database.bell.listen(self._heard))
            await self._tenure.ended()
            listening.cancel()
        # Until now this process took itself for the one that listens and did not ring, whoever has the lease.
        await self._reading.ring()

    def _heard(self) -> None:
        self._listening.over()
        self.wake()

    async def _publish_for_ever(self) -> None:
        while True:
            await self._tenure.gained()
            try:
                await self._turn()
            except LeaseLost:
                self._tenure.lost()
            except Exception as error:  # noqa: BLE001  # whatever it was, events wait and only this relay publishes
                await self._trouble.wait(error)

    async def _turn(self) -> None:
        await self._publisher.connect()
        await emptying.write_down(self._database, self._publisher.made)
        await self._look_at_conflict()
        self._woken.clear()
        held = self._holds.waiting()
        rows, upcoming = await self._reading.due(BATCH, *held)
        if len(rows) < BATCH:
            self._holds.tidy(rows, held)
        if rows:
            failpoint("relay.after-claim")
            await self._publish(rows)
        more = await self._aside.turn(is_idle=not rows, is_behind=len(rows) == BATCH)
        if not rows:
            self._trouble.over()
            if not more:
                await self._wait(upcoming)
        elif len(rows) < BATCH and not self._one_by_one:
            await self._pace.wait()

    async def _publish(self, rows: Sequence[Due]) -> None:
        together, alone = self._holds.choose(rows)
        tries = [together[:1] if self._one_by_one else together, *([row] for row in alone)]
        for tried in tries:
            batch = await releasing.released(self._database, tried)
            result = await batches.publish(batch, self._send)
            failpoint("relay.after-confirm")
            await asyncio.sleep(SETTLE_AFTER)
            await self._settle(result)
            self._learn(result, len(batch))
            if result.lost is not None:
                raise result.lost
            self._trouble.over()
            if any(isinstance(error, Unroutable) for _, error in result.failed.values()):
                await self._publisher.declare_again()

    async def _look_at_conflict(self) -> None:
        if self._publisher.conflict is not None and time.monotonic() >= self._conflict_at:
            self._conflict_at = time.monotonic() + CONFLICT_POLL
            await self._publisher.declare_again()

    async def _send(self, row: Due) -> None:
        publishing = self._publisher.publish(event_message(row.event_id, row.type, row.body.encode()))
        await faltering.before_confirm(publishing)

    async def _settle(self, result: Result) -> None:
        """Write down how a batch fared; confirmed events are not published again because the database fails."""
        at_fault = {
            sequence: str(error) for sequence, (_, error) in result.failed.items() if isinstance(error, MessageRefused)
        }
        doubtful = False
        while result.confirmed or at_fault:
            at = time.monotonic()
            try:
                moved = await self._write(partial(self._move, result.confirmed, at_fault, doubtful))
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001  # whatever it was, the broker has these events
                doubtful = True
                await self._trouble.wait(error)
                continue
            if moved:
                self._tenure.renewed(at)
            if result.confirmed:
                self.on_published(result.confirmed)
            return

    def _move(self, confirmed: Sequence[Due], at_fault: dict[int, str], doubtful: bool, session: Session) -> bool:
        """After a failure some may be in the log already: by a commit that went through, or by another's hand."""
        rows = event_log.without_logged(session, confirmed) if doubtful else confirmed
        if rows:
            event_log.publish(session, rows, lease=self._tenure.holding)
        outbox.blame(session, at_fault, set_aside_after=SET_ASIDE_AFTER)
        return bool(rows)

    def _learn(self, result: Result, tried: int) -> None:
        """Draw the conclusions of a batch: what is held back, and whether to go on one by one."""
        for row in result.confirmed:
            self._holds.published(row)
        for row, error in result.failed.values():
            if isinstance(error, NotConfirmed) or not isinstance(error, BrokerUnavailable):
                self._hold(row, error)
        if isinstance(result.lost, ChannelRefused):
            self._one_by_one = tried
        elif self._one_by_one:
            self._one_by_one = 0 if result.failed else self._one_by_one - 1

    def _hold(self, row: Due, error: TidingsError) -> None:
        if self._holds.failed(row, error):
            log.warning("event not published", event_id=row.event_id, type=row.type, error=str(error))
        if isinstance(error, MessageRefused) and row.attempts + 1 >= SET_ASIDE_AFTER:
            log.error("event set aside", event_id=row.event_id, type=row.type, error=str(error))
            self._holds.forget(row.sequence)

    async def _wait(self, upcoming: datetime | None) -> None:
        """Until somebody wakes us, something that waited is due, or it is time for a look."""
        seconds = [POLL]
        if upcoming is not None:
            seconds.append(min(CLOCK_POLL, (upcoming - datetime.now(UTC)).total_seconds()))
        seconds += [held for held in (self._holds.seconds(), *self._aside.seconds()) if held is not None]
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(seconds))):
                await self._woken.wait()

    async def _write(self, work: Callable[[Session], T]) -> T:
        return await asyncio.wrap_future(self._database.submit(work))
