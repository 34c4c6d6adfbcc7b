"""What the clock has to do beside its own ticks: a gap to decide, and a run that an operator ordered."""

import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from infra.database import schedule_gaps, schedule_runs, schedules
from infra.database.engine import Database
from infra.database.schedule_runs import MANUAL
from infra.database.schedule_tables import Schedule
from infra.database.schedules import Definition
from infra.database.tables import ScheduleRun, table
from tests.system.crash_points.ticks import CrashClockTicked

_SCHEDULE, _RUN = table(Schedule), table(ScheduleRun)
#: Due times in the gap that is found, of which the policy announces the last.
HOURS = 24

#: State and kind of each run of a schedule, and due and fired of each gap.
Seen = tuple[list[tuple[str, str]], list[tuple[int, int]]]


def owe(database: Database) -> str:
    """A schedule of each hour that nobody was there for, for a day; gives its name."""
    name = _added(database)
    since = datetime.now(UTC) - timedelta(hours=HOURS)
    with database.transaction() as session:
        change = update(_SCHEDULE).where(_SCHEDULE.c.name == name)
        session.connection().execute(change.values(counts_from=since))
    return name


def order(database: Database) -> str:
    """A schedule that is to run now, though it is not due; gives its name."""
    name = _added(database)
    with database.transaction() as session:
        schedule_runs.order(session, name, [datetime.now(UTC)], MANUAL, note="by a test")
    return name


def seen(database: Database, name: str) -> Seen:
    """What a schedule came to."""
    with database.reading() as session:
        query = select(_RUN.c.state, _RUN.c.kind).where(_RUN.c.schedule == name)
        runs = [(str(row.state), str(row.kind)) for row in session.connection().execute(query)]
        return runs, [(gap.due, gap.fired) for gap in schedule_gaps.page(session, schedule=name)]


def end(database: Database, *names: str) -> None:
    """Take the schedules away; what they did stays in the ledger."""
    with database.transaction() as session:
        for name in names:
            schedules.remove(session, name)


def _added(database: Database) -> str:
    name = f"crash-{secrets.token_hex(4)}"
    moment = datetime.now(UTC).isoformat()
    definition = Definition(
        name=name, trigger={"every": "1h"}, type=CrashClockTicked.TYPE, data={"due_at": moment}, missed="latest"
    )
    with database.transaction() as session:
        assert schedules.add(session, definition)
    return name
