"""Backfills over HTTP: due times of the past that were never fired, counted first, ordered once, and given up."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from starlette.testclient import TestClient

from infra.database import ledger, schedule_runs
from infra.database.engine import Database
from infra.schedules import backfilling
from tests import timetables
from tests.problems import wrong
from tests.timetables import DATA, DUE, SECOND, fired, kinds

WHY = {"why": "the printer is on fire"}
NEW = {"name": "stock-taking", "trigger": {"every": "30s"}, "type": "day.ended", "data": DATA}
HOUR = timedelta(hours=1)
#: For what the database has no part in.
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def timetable(database: Database) -> None:
    timetables.declare(database)


def runs(operator: TestClient, name: str = "tick") -> Any:
    return operator.get(f"/schedules/{name}/runs", params={"limit": 200}).raise_for_status().json()["items"]


def backfill(operator: TestClient, first: int = 0, end: int = 10, name: str = "tick", **more: Any) -> Any:
    body = {"since": (DUE + first * SECOND).isoformat(), "until": (DUE + end * SECOND).isoformat(), **WHY, **more}
    return operator.post(f"/schedules/{name}/backfill", json=body)


def test_a_backfill_orders_what_was_not_fired_and_nothing_else(operator: TestClient, database: Database) -> None:
    fired(database, 3)
    fired(database, 5, state="skipped")
    answer = backfill(operator)
    operation = answer.json()
    assert (202, f"/operations/{operation['id']}") == (answer.status_code, answer.headers["location"])
    assert ("schedule.backfill", "running", 9, 0) == tuple(
        operation[name] for name in ("kind", "state", "total", "progress")
    )
    others = [each for each in kinds(runs(operator)) if each != timetables.AFTERWARDS]
    assert [("due", "ordered"), ("due", "fired")] == others  # what was skipped stays one that the schedule decided
    assert 10 == len(runs(operator))
    assert {operation["id"], None} == {run["operation_id"] for run in runs(operator)}
    assert "schedule.backfill" == operator.get("/audit").json()["items"][0]["action"]
    listed = operator.get("/operations", params={"kind": "schedule.backfill"}).json()["items"]
    assert [operation["id"]] == [each["id"] for each in listed]


def test_a_dry_run_counts_and_changes_nothing(operator: TestClient, database: Database) -> None:
    fired(database, 9)
    answer = backfill(operator, dry_run=True)
    assert (200, {"would_fire": 9, "already_there": 1}) == (
        answer.status_code,
        {name: answer.json()[name] for name in ("would_fire", "already_there")},
    )
    ends = [datetime.fromisoformat(answer.json()[name]) for name in ("first", "last")]
    assert [DUE, DUE + 8 * SECOND] == ends
    assert ([], 1) == (operator.get("/audit").json()["items"], len(runs(operator)))
    nothing = backfill(operator, 9, 10, dry_run=True).json()
    assert {"would_fire": 0, "already_there": 1, "first": None, "last": None} == nothing


def test_a_backfill_is_begun_once_whatever_is_asked_again(operator: TestClient) -> None:
    first = backfill(operator).json()
    second = backfill(operator, 0, 12).json()
    third = backfill(operator).json()
    assert [10, 2, 0] == [each["total"] for each in (first, second, third)]
    assert ("done", 1.0) == (third["state"], third["progress"])


def test_what_a_stopped_backfill_gave_up_can_be_ordered_again(operator: TestClient, database: Database) -> None:
    first = backfill(operator).json()
    timetables.scheduler(database, 4)
    assert 202 == operator.post(f"/operations/{first['id']}/stop", json={}).status_code
    database.run(lambda session: schedule_runs.cancel_orders(session, first["id"]))
    assert 6 == backfill(operator).json()["total"]


@one_database
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"since": "1969-12-31T23:59:59Z"}, "since"),
        ({"since": "0001-01-01T00:00:00Z"}, "since"),
        ({"until": (datetime.now(UTC) + HOUR).isoformat()}, "until"),
        ({"until": (DUE - SECOND).isoformat()}, "until"),
        ({"until": DUE.isoformat()}, "until"),
        ({"since": (DUE - 3 * HOUR).isoformat()}, "until"),
        ({"since": "2026-11-26"}, "since"),
        ({"since": None}, "since"),
        ({"why": None}, "why"),
        ({"dry_run": "perhaps"}, "dry_run"),
        ({"all": True}, "all"),
    ],
)
def test_a_backfill_that_makes_no_sense_is_refused_by_field(
    operator: TestClient, changes: dict[str, Any], field: str
) -> None:
    assert [field] == wrong(backfill(operator, **changes))
    assert [] == runs(operator)


def test_as_many_as_may_be_are_backfilled_at_once(operator: TestClient) -> None:
    assert backfilling.MOST == backfill(operator, 0, backfilling.MOST).raise_for_status().json()["total"]
    refused = backfill(operator, 0, backfilling.MOST + 1)
    assert ["until"] == wrong(refused)
    assert "10,000" in refused.json()["detail"]


def test_with_a_key_a_backfill_begins_once(operator: TestClient) -> None:
    body = {"since": DUE.isoformat(), "until": (DUE + 5 * SECOND).isoformat(), **WHY}
    key = {"idempotency-key": "once"}
    first, second = (operator.post("/schedules/tick/backfill", json=body, headers=key) for _ in range(2))
    assert (first.json(), "true") == (second.json(), second.headers["idempotency-replayed"])
    assert first.headers["location"] == second.headers["location"]
    assert 5 == first.json()["total"]


def test_backfills_that_overlap_and_begin_at_once_order_each_due_time_once(database: Database) -> None:
    barrier = Barrier(4)

    def begin(first: int) -> int:
        planned = backfilling.plan(database, "tick", DUE + first * SECOND, DUE + 300 * SECOND)
        barrier.wait(10)
        return database.run(lambda session: backfilling.start(session, planned, who="ada", why="lost").total)

    with ThreadPoolExecutor(4) as pool:
        totals = [*pool.map(begin, (0, 50, 100, 150))]
    assert 300 == sum(totals)
    with database.reading() as session:
        assert 300 == len(ledger.taken(session, "tick", DUE, DUE + 300 * SECOND))
