"""A look at 500 schedules with a long ledger is cheap: it is done again and again."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, text

from infra.database import schedules
from infra.database.engine import Database
from infra.database.schedules import Definition
from infra.database.tables import ScheduleRun, table
from infra.schedules.silence import Watch

SCHEDULES, RUNS = 500, 60
TRIGGERS = ({"every": "1s"}, {"cron": "*/5 2-4 * * MON-FRI", "zone": "Europe/Berlin"}, {"daily": "07:00"})


@pytest.fixture
def full(database: Database) -> Database:
    """500 schedules, each with more rows in the ledger than are looked at."""
    now = datetime.now(UTC)
    names = [f"schedule-{number:03}" for number in range(SCHEDULES)]
    with database.transaction() as session:
        for number, name in enumerate(names):
            definition = Definition(name=name, trigger=TRIGGERS[number % len(TRIGGERS)], type="heartbeat.ticked")
            schedules.add(session, definition)
            times = [now - timedelta(seconds=second) for second in range(RUNS)]
            rows = [{"schedule": name, "due_at": due, "event_id": "", "fired_at": due} for due in times]
            session.connection().execute(
                insert(table(ScheduleRun)), [{**row, "kind": "due", "state": "fired"} for row in rows]
            )
        session.connection().execute(text("ANALYZE"))
    return database


@pytest.mark.timeout(300)
def test_a_look_costs_a_few_milliseconds(full: Database) -> None:
    watch = Watch(full)
    watch.look()  # reads all triggers
    began = time.process_time()
    for _ in range(10):
        assert SCHEDULES == len(watch.look().signs)
    assert (time.process_time() - began) / 10 < 0.1  # 17 ms on SQLite, 8 on PostgreSQL
