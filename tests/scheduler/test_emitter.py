"""A fire becomes one outbox row, whatever the replicas, the database or a blocked loop do."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy import select

from events.clock import HeartbeatTicked, due_id
from events.envelope import decode
from infra.database import outbox
from infra.database.engine import Database
from infra.database.tables import ScheduleRun, table
from infra.errors import DatabaseUnavailable
from scheduler import emitter
from scheduler.emitter import emit
from scheduler.program import timekeeper
from scheduler.timetable import Schedule, every

DUE = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
TICK = Schedule("tick", every(seconds=1), lambda due: HeartbeatTicked(due_at=due), "Ticks.")
RUN = table(ScheduleRun)


def events(database: Database) -> list[HeartbeatTicked]:
    with database.reading() as session:
        found = [decode(row.body.encode()).data for row in outbox.due(session, 1000)]
    return [event for event in found if isinstance(event, HeartbeatTicked)]


def test_a_due_time_is_announced_once_by_however_many_replicas(database: Database) -> None:
    answers = [database.submit(lambda session: emit(session, TICK, DUE)).result(10) for _ in range(3)]
    assert [True, False, False] == answers
    with database.reading() as session:
        (row,) = outbox.due(session, 10)
        assert [(DUE, row.event_id)] == [
            tuple(run) for run in session.connection().execute(select(RUN.c.due_at, RUN.c.event_id))
        ]
    envelope = decode(row.body.encode())
    assert (due_id("tick", DUE), DUE, "/scheduler") == (envelope.id, envelope.time, envelope.source)


@asynccontextmanager
async def running(database: Database) -> AsyncIterator[AsyncIOScheduler]:
    keeper = timekeeper(database, (TICK,))
    keeper.start()
    yield keeper
    keeper.shutdown(wait=False)


async def soon(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # the database announces nothing
            await asyncio.sleep(0.02)


def consecutive(times: list[datetime]) -> bool:
    return all(later - earlier == timedelta(seconds=1) for earlier, later in pairwise(times))


def test_a_running_scheduler_announces_each_due_time(sqlite_database: Database) -> None:
    async def main() -> None:
        async with running(sqlite_database), running(sqlite_database):  # two replicas
            await soon(lambda: len(events(sqlite_database)) >= 3)

    asyncio.run(main())
    times = [event.due_at for event in events(sqlite_database)]
    assert consecutive(times)
    assert all(due.microsecond == 0 for due in times)


def test_a_loop_that_was_blocked_drops_no_fire(sqlite_database: Database) -> None:
    """APScheduler with misfire_grace_time=1 drops a fire after a loop was blocked for 2 s."""

    async def main() -> None:
        async with running(sqlite_database):
            await soon(lambda: len(events(sqlite_database)) >= 1)
            time.sleep(2.5)  # noqa: ASYNC251  # the rule under test
            await soon(lambda: len(events(sqlite_database)) >= 4)

    asyncio.run(main())
    assert consecutive([event.due_at for event in events(sqlite_database)])


def test_a_fire_waits_for_a_database_that_is_away(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emitter, "_AGAIN", 0.05)
    refusals = iter([True, True, True])

    def sometimes(*arguments: object) -> bool:
        if next(refusals, False):
            raise DatabaseUnavailable("away")
        return emit(*arguments)  # type: ignore[arg-type]

    async def main() -> None:
        async with running(sqlite_database):
            await soon(lambda: len(events(sqlite_database)) >= 2)

    monkeypatch.setattr(emitter, "emit", sometimes)
    asyncio.run(main())
    assert consecutive(sorted(event.due_at for event in events(sqlite_database)))
