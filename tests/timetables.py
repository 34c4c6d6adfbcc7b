"""Schedules with runs of every kind, for the tests of what operators see of them and do to them."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from events.clock import due_id
from infra.database import schedule_runs, schedules
from infra.database.engine import Database
from infra.database.schedule_runs import BACKFILL, MANUAL
from infra.database.schedule_tables import Schedule
from infra.database.schedules import Definition
from infra.database.tables import ScheduleRun, table

#: Before now: the due times of these tests.
DUE = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
SECOND = timedelta(seconds=1)
CODE = (
    Definition(name="day-end", trigger={"daily": "00:00", "zone": "UTC"}, type="day.ended", description="A day ends."),
    Definition(name="tick", trigger={"every": "1s"}, type="heartbeat.ticked", missed="all"),
)
DATA = {"day": "2026-11-24"}
ADDED = Definition(
    name="taking",
    trigger={"cron": "30 2 * * MON-FRI", "zone": "Europe/Berlin"},
    type="day.ended",
    data=DATA,
    overlap="skip",
)


def declare(database: Database) -> None:
    """The code's two schedules, and one of an operator's."""
    database.run(lambda session: schedules.declare(session, CODE))
    database.run(lambda session: schedules.add(session, ADDED))


def fired(database: Database, number: int, schedule: str = "tick", **changes: Any) -> str:
    """A run in the ledger, a quarter of a second late; gives the id of its event."""
    due = DUE + number * SECOND
    values: dict[str, Any] = {
        "schedule": schedule,
        "due_at": due,
        "event_id": due_id(schedule, due),
        "fired_at": due + SECOND / 4,
    }
    row = ScheduleRun(**(values | changes))
    database.run(lambda session: session.connection().execute(insert(table(ScheduleRun)), row.model_dump()))
    return row.event_id


def scheduler(database: Database, most: int = 100) -> int:
    """What a scheduler does about orders: fire them, but for their events; gives how many."""

    def fire(session: Any) -> int:
        orders = schedule_runs.orders(session, most)
        return sum(schedule_runs.take_order(session, each.schedule, each.due_at) for each in orders)

    return database.run(fire)


def kinds(runs: Collection[dict[str, Any]]) -> list[tuple[str, str]]:
    """Kind and state of runs."""
    return [(run["kind"], run["state"]) for run in runs]


MANUALLY, AFTERWARDS = (MANUAL, "ordered"), (BACKFILL, "ordered")


def back(database: Database, schedule: str, *, hours: int) -> datetime:
    """Have a schedule count from so many hours ago, as if it had been made then; gives the moment."""
    moment = datetime.now(UTC) - timedelta(hours=hours)
    rows = table(Schedule)
    changing = rows.update().where(rows.c.name == schedule).values(counts_from=moment)
    database.run(lambda session: session.connection().execute(changing))
    return moment
