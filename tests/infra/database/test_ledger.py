"""The ledger as operators read it: the same answers on both databases, and no query that walks through all runs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from events.clock import due_id
from infra.database import ledger, schedule_runs, schedules
from infra.database.engine import Database
from infra.database.ledger import Filter
from infra.database.schedule_runs import BACKFILL, MANUAL
from infra.database.schedules import Definition
from infra.database.tables import ScheduleRun, table

DUE = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def tick(database: Database) -> None:
    """Ten fires, of which the last but two was skipped; then a manual run that waits. And a schedule without any."""
    names = ("tick", "idle")
    definitions = [Definition(name=name, trigger={"every": "1s"}, type="heartbeat.ticked") for name in names]
    database.run(lambda session: schedules.declare(session, definitions))
    for number in range(10):
        add(database, number, "skipped" if number == 7 else "fired")
    database.run(lambda session: schedule_runs.order(session, "tick", [DUE + 10 * SECOND], MANUAL))


def add(database: Database, number: int, state: str, schedule: str = "tick") -> None:
    due = DUE + number * SECOND
    row = ScheduleRun(
        schedule=schedule, due_at=due, event_id=due_id(schedule, due), fired_at=due, kind="due", state=state
    )
    database.run(lambda session: session.connection().execute(insert(table(ScheduleRun)), row.model_dump()))


def listed(database: Database, limit: int = 50, before: int | None = None, **wanted: Any) -> list[int]:
    after = None if before is None else DUE + before * SECOND
    with database.reading() as session:
        runs = ledger.page(session, "tick", Filter(**wanted), before=after, limit=limit)
    return [(run.due_at - DUE).seconds for run in runs]


def test_runs_are_listed_from_the_newest_due_time_on(database: Database) -> None:
    assert [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0] == listed(database)
    assert [9, 8] == listed(database, limit=2, before=10)


def test_they_are_filtered_by_state_kind_and_time(database: Database) -> None:
    assert [7] == listed(database, state="skipped")
    assert [10] == listed(database, state="ordered", kind=MANUAL)
    assert [] == listed(database, state="fired", kind=MANUAL)
    assert [9, 8] == listed(database, state="fired", kind="due", limit=2)
    assert [9, 8, 7] == listed(database, kind="due", since=DUE + 7 * SECOND)
    assert [6, 5] == listed(database, since=DUE + 5 * SECOND, until=DUE + 7 * SECOND)


def test_the_last_run_is_the_newest_that_was_fired_or_skipped(database: Database) -> None:
    with database.reading() as session:
        found = ledger.last(session, ["tick", "idle", "unknown"])
        assert {} == ledger.last(session, [])
    assert {"tick": DUE + 9 * SECOND} == {name: run.due_at for name, run in found.items()}


def test_what_is_fired_or_ordered_is_taken(database: Database) -> None:
    with database.reading() as session:
        taken = ledger.taken(session, "tick", DUE + 6 * SECOND, DUE + 10 * SECOND)
    assert {6, 8, 9, 10} == {(due - DUE).seconds for due in taken}


def test_a_name_is_known_as_long_as_it_has_runs(database: Database) -> None:
    with database.reading() as session:
        assert [True, False] == [ledger.knows(session, name) for name in ("tick", "idle")]


def test_what_was_skipped_or_given_up_can_be_ordered_again(database: Database) -> None:
    dues = [DUE + 7 * SECOND, DUE + 8 * SECOND]

    def order(operation_id: str) -> list[datetime]:
        return database.run(
            lambda session: schedule_runs.order(session, "tick", dues, BACKFILL, operation_id=operation_id)
        )

    assert [DUE + 7 * SECOND] == order("1")
    assert [] == order("2")
    database.run(lambda session: schedule_runs.cancel_orders(session, "1"))
    assert [DUE + 7 * SECOND] == order("3")
    assert [7, 10] == sorted(listed(database, state="ordered"))


def test_all_orders_of_a_schedule_can_be_given_up(database: Database) -> None:
    database.run(
        lambda session: schedule_runs.order(
            session, "tick", [DUE - SECOND, DUE - 2 * SECOND], BACKFILL, operation_id="1"
        )
    )
    given_up = database.run(lambda session: schedule_runs.cancel_orders_of(session, "tick", "it was removed"))
    assert {None: 1, "1": 2} == given_up
    with database.reading() as session:
        runs = ledger.page(session, "tick", Filter(state="cancelled"))
    assert ["it was removed"] * 3 == [run.note for run in runs]


@pytest.fixture
def plans(database: Database) -> list[str]:
    """How the database goes about each query of a test, after a month of a schedule each half minute."""
    start = DUE - timedelta(days=30)
    rows = [
        {"schedule": "tick", "due_at": start + number * 30 * SECOND, "event_id": str(number), "fired_at": start}
        for number in range(2 * 60 * 24 * 29)
    ]
    database.run(lambda session: session.connection().execute(insert(table(ScheduleRun)), rows))
    with database.transaction() as session:
        session.connection().execute(text("ANALYZE"))
    found: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and "schedule_run" in statement:
            words = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN ANALYZE"
            found.append("\n".join(str(row) for row in connection.exec_driver_sql(f"{words} {statement}", parameters)))

    event.listen(database._reading, "before_cursor_execute", explain)
    return found


def test_no_list_walks_through_all_runs(database: Database, plans: list[str]) -> None:
    for wanted in ({}, {"state": "fired"}, {"kind": "due"}, {"state": "skipped"}, {"kind": MANUAL}, {"until": DUE}):
        listed(database, limit=3, **wanted)
    with database.reading() as session:
        ledger.last(session, ["tick", "idle"])
        ledger.taken(session, "tick", DUE, DUE + 9 * SECOND)
        ledger.knows(session, "tick")
    assert 9 == len(plans)
    for plan in plans:
        assert "Seq Scan on schedule_run" not in plan
        assert "SCAN schedule_run" not in plan
    special = [plan for plan in plans if "schedule_run_special" in plan]
    assert 2 == len(special)
