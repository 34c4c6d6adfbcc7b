"""Lists by time: exact though a clock was stepped, and never by a walk through all rows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.event import listens_for

from gateway.activity import service as activity
from gateway.activity.schemas import ActivityFilter
from infra.database import event_log, held
from infra.database.engine import Database
from infra.database.tables import Activity, EventLog, Outbox, table
from tests.eventlogs import event_id

START = datetime(2026, 11, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ROWS = 30_000


def fill(database: Database, moments: Sequence[datetime]) -> None:
    """A log and an activity log with an event at each of these, in this order."""
    same: dict[str, Any] = {"type": "x", "subject": None}
    rows = [{"event_id": event_id(number), **same} for number in range(1, len(moments) + 1)]
    with database.transaction() as session:
        connection = session.connection()
        logged = [
            {"position": number, "body": "", "published_at": at, **row}
            for number, (row, at) in enumerate(zip(rows, moments, strict=True), 1)
        ]
        connection.execute(insert(table(EventLog)), logged)
        connection.execute(
            insert(table(Activity)), [{"time": at, **row} for row, at in zip(rows, moments, strict=True)]
        )
    count(database)


def count(database: Database) -> None:
    """PostgreSQL's planner is told what it would learn by itself in a minute; SQLite's is told nothing by anybody."""
    if not database.is_sqlite:
        with database.transaction() as session:
            session.connection().execute(text("ANALYZE"))


def positions(database: Database, **wanted: Any) -> list[int]:
    with database.reading() as session:
        return [row.position for row in event_log.page(session, event_log.Filter(**wanted), before=None, limit=1000)]


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)], ids=["back", "forward"])
def test_the_times_of_a_list_are_exact_though_the_clock_was_stepped_by_an_hour(
    database: Database, step: timedelta
) -> None:
    before = [START + number * MINUTE for number in range(240)]
    after = [before[-1] + step + number * MINUTE for number in range(1, 240)]
    fill(database, moments := before + after)
    for since in range(0, 400, 17):
        for length in (1, 30, 200):
            bounds = {"since": START + since * MINUTE, "until": START + (since + length) * MINUTE}
            expected = [n for n, at in enumerate(moments, 1) if bounds["since"] <= at < bounds["until"]]
            assert expected[::-1] == positions(database, **bounds)


def test_any_moment_may_be_asked_for(database: Database) -> None:
    fill(database, [START])
    least, most = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert ([1], []) == (positions(database, since=least, until=most), positions(database, until=least))


@pytest.fixture
def plans(database: Database) -> list[str]:
    """How the database goes about each statement that a test has it run."""
    seen: list[str] = []
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"

    @listens_for(database._reading, "before_cursor_execute")
    def note(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.startswith("SELECT"):
            cursor.execute(f"{explain} {statement}", parameters)
            seen.extend(str(row[-1]) for row in cursor.fetchall())

    return seen


def test_a_list_by_time_looks_at_the_rows_of_its_time_alone(database: Database, plans: list[str]) -> None:
    fill(database, [START + number * MINUTE for number in range(ROWS)])
    bounds = {"since": START + 10_000 * MINUTE, "until": START + 10_060 * MINUTE}
    plans.clear()
    assert 60 == len(positions(database, **bounds))
    with database.reading() as session:
        assert 50 == len(activity.newest(session, ActivityFilter(**bounds)).items)
        assert [] == activity.newest(session, ActivityFilter(since=START + ROWS * MINUTE, subject="s")).items
    assert [] == [plan for plan in plans if _reads_all(plan)]
    assert len(plans) > 20, "the search itself is among them"


def test_what_is_due_in_a_while_is_found_among_all_that_waits(database: Database, plans: list[str]) -> None:
    now = datetime.now(UTC)
    same: dict[str, Any] = {"type": "x", "body": "{}", "added_at": now, "attempts": 0, "set_aside": False}
    rows = [{"event_id": event_id(n), "available_at": now + n * MINUTE, **same} for n in range(1, ROWS)]
    with database.transaction() as session:
        session.connection().execute(insert(table(Outbox)), rows)
    count(database)
    with database.reading() as session:
        wanted = held.Filter(state="waiting", since=now + 100 * MINUTE, until=now + 110 * MINUTE)
        page = held.page(session, wanted, after=None, limit=6)
        rest = held.page(session, wanted, after=held.Place.of(page[-1]), limit=6)
    assert [event_id(n) for n in range(100, 110)] == [row.event_id for row in [*page, *rest]]
    assert [] == [plan for plan in plans if _reads_all(plan)]


def test_what_waits_has_one_lower_bound_from_which_the_index_is_read(database: Database) -> None:
    """Of two, the lesser may be taken, and all that lies between is read."""
    now = datetime.now(UTC)
    for since in (None, now - MINUTE, now + MINUTE):
        for after in (None, held.Place(now - MINUTE, 1), held.Place(now + 2 * MINUTE, 1)):
            conditions = held.Filter(state="waiting", since=since, until=now + 9 * MINUTE).conditions(after)
            assert 1 == sum(str(condition).count(">") for condition in conditions)


def _reads_all(plan: str) -> bool:
    """SQLite calls a search by its least and greatest key a search, and all else a scan."""
    return "SCAN" in plan or "Seq Scan" in plan
