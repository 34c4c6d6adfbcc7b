"""What a start of the scheduler does to the table: new, changed and dropped lines of the code's timetable."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from structlog.testing import capture_logs

from infra.database import schedules
from infra.database.engine import Database
from infra.database.schedule_tables import Schedule as Row
from infra.database.schedules import Definition
from infra.schedules.triggers import Every
from scheduler.engine import Engine
from scheduler.timetable import Schedule
from tests.scheduler.replicas import START, Replica, announced, declare, gaps, runs, soon, ticking
from tests.scheduler.replicas import running as engine_running

HOUR = timedelta(hours=1)


def row(database: Database, name: str = "tick") -> Row:
    with database.reading() as session:
        found = schedules.find(session, name)
    assert found is not None
    return found


def start(database: Database, *timetable: Schedule, at: datetime) -> list[Any]:
    with capture_logs() as told:
        Engine(database, timetable, clock=lambda: at).declare()
    return [(line["event"], line["log_level"], line.get("schedule")) for line in told]


def test_what_was_missed_by_a_trigger_that_changes_is_decided_by_it(database: Database) -> None:
    """A deployment that changes a trigger is a stop, too."""
    declare(database, ticking(trigger=Every(every="1h")))
    start(database, ticking(trigger=Every(every="2h")), at=START + 3 * HOUR)
    (gap,) = gaps(database)
    assert (3, 1) == (gap.due, gap.fired)
    assert {"every": "2h"} == row(database).trigger
    assert 1 == len(announced(database))


def test_a_change_of_anything_else_decides_nothing(database: Database) -> None:
    declare(database, ticking(trigger=Every(every="1h")))
    start(database, ticking(trigger=Every(every="1h"), description="New words."), at=START + 3 * HOUR)
    assert ([], "New words.") == (gaps(database), row(database).description)
    Replica(database, ticking(trigger=Every(every="1h"))).at(3 * 3600)
    assert [3] == [gap.due for gap in gaps(database)]


def test_a_name_that_an_operator_has_taken_is_told_of_and_stays_the_operators(sqlite_database: Database) -> None:
    data = {"due_at": "2026-11-22T09:30:00Z"}
    theirs = Definition(name="tick", trigger={"every": "1h"}, type="heartbeat.ticked", data=data)
    sqlite_database.run(lambda session: schedules.add(session, theirs))
    assert [("schedule left out", "error", "tick")] == start(sqlite_database, ticking(), at=START)
    assert ("operator", {"every": "1h"}) == (row(sqlite_database).origin, row(sqlite_database).trigger)


def test_a_second_start_tells_and_changes_nothing(sqlite_database: Database) -> None:
    assert ["timetable changed"] == [line for line, *_ in start(sqlite_database, ticking(), at=START)]
    before = row(sqlite_database)
    assert [] == start(sqlite_database, ticking(), at=START)
    assert before.version == row(sqlite_database).version


def test_a_restart_within_the_grace_is_no_gap(sqlite_database: Database) -> None:
    """What was due while the program was away is announced late, and nothing is left out."""

    async def run_until(number: int) -> None:
        async with engine_running(sqlite_database, ticking()):
            await soon(lambda: len(runs(sqlite_database)) >= number)

    for number in (1, 2, 4):
        asyncio.run(run_until(number))
    dues = [run.due_at for run in runs(sqlite_database)]
    assert [dues[0] + timedelta(seconds=each) for each in range(len(dues))] == dues
    assert ([], {"due"}) == (gaps(sqlite_database), {run.kind for run in runs(sqlite_database)})
