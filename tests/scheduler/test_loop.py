"""A long gap is worked off while everything else goes on: neither the event loop nor other schedules wait for it."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from infra.database.engine import Database
from infra.database.schedule_tables import Schedule as Row
from infra.database.tables import table
from infra.schedules.triggers import Cron, Every, Trigger
from tests.scheduler.replicas import declare, gaps, running, runs, soon, ticking

pytestmark = pytest.mark.alone
#: Seconds that the loop may stand still, …
LONGEST = 0.2
#: … and share of the looks at it that may find it so on a machine that others use, too.
DISTURBED = 0.02


async def beat(pauses: list[float]) -> None:
    """A heart in the loop."""
    before = time.monotonic()
    while True:
        await asyncio.sleep(0.01)
        now = time.monotonic()
        pauses.append(now - before)
        before = now


@pytest.mark.parametrize("missed", ["latest", "all"])
@pytest.mark.parametrize(
    ("trigger", "days"),
    [(Every(every="1s"), 1), (Cron(cron="* * * * *", zone="Europe/Berlin"), 365)],
    ids=["a day of seconds", "a year of minutes"],
)
def test_a_long_gap_blocks_neither_the_loop_nor_others(
    sqlite_database: Database, trigger: Trigger, days: int, missed: str
) -> None:
    """Found at the start, as after a stop of the process."""
    timetable = ticking("long", trigger=trigger, missed=missed), ticking()
    since = datetime.now(UTC) - timedelta(days=days)
    declare(sqlite_database, *timetable, since=since)
    with sqlite_database.transaction() as session:
        running_now = update(table(Row)).where(table(Row).c.name == "tick").values(counts_from=datetime.now(UTC))
        session.connection().execute(running_now)
    pauses: list[float] = []

    async def main() -> None:
        async with running(sqlite_database, *timetable):
            beating = asyncio.create_task(beat(pauses))
            await soon(lambda: bool(gaps(sqlite_database, "long")), 60)
            await soon(lambda: bool(runs(sqlite_database, "tick")))
            beating.cancel()

    asyncio.run(main())
    gap, *_ = gaps(sqlite_database, "long")  # a slow machine misses more meanwhile
    assert abs(gap.due - days * (86_400 if days == 1 else 1440)) <= 2
    assert (1 if missed == "latest" else 100) == gap.fired
    assert [] == gaps(sqlite_database, "tick")  # it fired in time meanwhile
    assert sum(pause > LONGEST for pause in pauses) <= DISTURBED * len(pauses)
