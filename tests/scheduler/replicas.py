"""Schedules to try the engine with, replicas of it that need not wait for the clock, and a look at what they did."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlmodel import Session

from events.clock import HeartbeatTicked
from events.envelope import Envelope, decode
from infra.database import operations, outbox, schedule_gaps, schedule_runs, schedules
from infra.database.engine import Database
from infra.database.recovery_tables import Operation
from infra.database.schedule_runs import BACKFILL
from infra.database.schedule_tables import Schedule as Row
from infra.database.schedule_tables import ScheduleGap
from infra.database.tables import ScheduleRun, table
from infra.schedules import overlap
from infra.schedules.triggers import Every
from scheduler.catching_up import CatchingUp
from scheduler.deciding import Deciding
from scheduler.engine import Engine
from scheduler.following import Following
from scheduler.lines import Line
from scheduler.timetable import Schedule

SECOND = timedelta(seconds=1)
#: When the schedules of these tests were made: at a full minute.
START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def ticking(name: str = "tick", **changes: Any) -> Schedule:
    """A schedule of each second."""
    values: dict[str, Any] = {
        "name": name,
        "trigger": Every(every="1s"),
        "type": HeartbeatTicked.TYPE,
        "announce": lambda due: HeartbeatTicked(due_at=due),
        "description": "Ticks.",
    }
    return Schedule(**(values | changes))


def declare(database: Database, *timetable: Schedule, since: datetime = START) -> None:
    """Write schedules down as if they had been made then."""
    definitions = [schedule.definition for schedule in timetable]
    database.run(lambda session: schedules.declare(session, definitions))
    with database.transaction() as session:
        session.connection().execute(update(table(Row)).values(counts_from=since, version=Row.version + 1))


class Replica:
    """An engine without threads: it looks and decides when it is told to, at a time that it is told."""

    def __init__(self, database: Database, *timetable: Schedule) -> None:
        self.now = START
        self.following = Following(database, timetable)
        self._catching_up = CatchingUp(database, overlap.hindrance, clock=lambda: self.now)
        self._deciding = Deciding(database, overlap.hindrance, self._catch_up)

    def at(self, seconds: float, *, looks: int = 1) -> None:
        """Come to this many seconds after the start, and do then what the engine does at a look."""
        self.now = START + timedelta(seconds=seconds)
        for _ in range(looks):
            self.following.look(self.now)
            self._deciding.decide(self.following.lines.values(), self.now)

    def _catch_up(self, line: Line) -> None:
        if self._catching_up.catch_up(line):
            self._deciding.decide([line], self.now)


@asynccontextmanager
async def running(database: Database, *timetable: Schedule) -> AsyncIterator[Engine]:
    """The whole engine, by the real clock."""
    engine = Engine(database, timetable)
    engine.declare()
    engine.start()
    try:
        yield engine
    finally:
        await asyncio.to_thread(engine.stop)


async def soon(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait until it is true, while the event loop goes on."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # the database announces nothing
            await asyncio.sleep(0.02)


def backfill(database: Database, dues: Sequence[datetime], name: str = "tick") -> str:
    """Order a run at each of these due times; gives the id of the operation."""
    operation_id = operations.new_id()

    def begin(session: Session) -> None:
        schedule_runs.order(session, name, dues, BACKFILL, operation_id=operation_id)
        operations.add(session, operations.BACKFILL, {}, operation_id=operation_id, total=len(dues))

    database.run(begin)
    return operation_id


def operation(database: Database, operation_id: str) -> Operation:
    """As it stands."""
    with database.reading() as session:
        found = operations.find(session, operation_id)
    assert found is not None
    return found


def announced(database: Database) -> list[Envelope]:
    """The events in the outbox, in its order."""
    with database.reading() as session:
        return [decode(row.body.encode()) for row in outbox.due(session, 100_000)]


def seconds_of(times: Iterable[datetime]) -> list[float]:
    """Seconds after the start."""
    return [(time - START).total_seconds() for time in times]


def fired(database: Database) -> list[float]:
    """When the announced events were due, in the order of the outbox."""
    return seconds_of(envelope.time for envelope in announced(database))


def runs(database: Database, schedule: str = "tick") -> list[ScheduleRun]:
    """The ledger of a schedule, the oldest due time first."""
    run = table(ScheduleRun)
    query = select(run).where(run.c.schedule == schedule).order_by(run.c.due_at)
    with database.reading() as session:
        return [ScheduleRun(**row._mapping) for row in session.connection().execute(query)]


def gaps(database: Database, schedule: str = "tick") -> list[ScheduleGap]:
    """Its gaps, the oldest first."""
    with database.reading() as session:
        return schedule_gaps.page(session, schedule=schedule)[::-1]
