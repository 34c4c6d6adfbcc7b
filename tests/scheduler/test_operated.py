"""A running scheduler under an operator's hands: over HTTP and by command, on both databases."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.app import create_app
from infra import commands
from infra.database import operations, schedule_gaps, schedule_runs
from infra.database.engine import Database
from infra.schedules.triggers import Every
from infra.settings import Settings
from scheduler import __main__ as program
from tests.scheduler.replicas import announced, running, runs, ticking
from tests.timetables import DATA
from tests.waiting import until

TOKEN = "operator-token-of-the-tests"
WHY = {"why": "to see it"}
SECOND = timedelta(seconds=1)
#: Before now, and after all that the ledger has.
THEN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture(autouse=True)
def scheduler(database: Database) -> Iterator[None]:
    """The engine of one replica, at work in a thread of its own: a schedule of each second, and one of each day."""
    rare = ticking("rare", trigger=Every(every="1d"))
    started, stop = threading.Event(), threading.Event()

    async def main() -> None:
        async with running(database, ticking(missed="all"), rare):
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert started.wait(10)
    yield
    stop.set()
    thread.join()


@pytest.fixture
def operator(database: Database, tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(Settings(operator_token=TOKEN, state_dir=tmp_path), database, None)
    with TestClient(app, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        yield client


def operation(operator: TestClient, operation_id: str) -> Any:
    return operator.get(f"/operations/{operation_id}").raise_for_status().json()


def backfill(operator: TestClient, name: str, seconds: int) -> str:
    body = {"since": THEN.isoformat(), "until": (THEN + seconds * SECOND).isoformat(), **WHY}
    begun: str = operator.post(f"/schedules/{name}/backfill", json=body).raise_for_status().json()["id"]
    return begun


def test_a_pause_holds_to_the_moment_and_every_due_time_is_accounted_for(
    operator: TestClient, database: Database
) -> None:
    until(lambda: len(runs(database)) >= 2)
    paused = operator.patch("/schedules/tick", json=WHY | {"paused": True}).raise_for_status().json()
    since = datetime.fromisoformat(paused["pause"]["since"])
    until(lambda: datetime.now(UTC) > since + 3 * SECOND)
    assert max(run.due_at for run in runs(database)) <= since
    resumed = datetime.fromisoformat(
        operator.patch("/schedules/tick", json=WHY | {"paused": False}).raise_for_status().json()["counts_from"]
    )
    after = until(lambda: [run for run in runs(database) if run.due_at > resumed][1:], seconds=20)
    assert resumed < after[0].due_at <= resumed + 3 * SECOND
    with database.reading() as session:
        (gap,) = schedule_gaps.page(session, schedule="tick", reason=schedule_gaps.PAUSED)
    fired = [run.due_at for run in runs(database)]
    passed = [gap.first_due_at + number * SECOND for number in range(gap.due)]
    assert gap.last_due_at == passed[-1]
    accounted = sorted([*fired, *passed])
    assert [accounted[0] + number * SECOND for number in range(len(accounted))] == accounted


@pytest.mark.alone
def test_a_run_of_now_is_on_its_way_within_two_seconds(operator: TestClient, database: Database) -> None:
    answer = operator.post("/schedules/rare/run", json=WHY)
    asked, run = datetime.now(UTC), answer.json()
    until(lambda: run["event_id"] in {each.id for each in announced(database)}, seconds=20)
    assert datetime.now(UTC) - asked < 2 * SECOND
    (fired,) = operator.get("/schedules/rare/runs").json()["items"]
    assert ("manual", "fired", run["event_id"]) == (fired["kind"], fired["state"], fired["event_id"])
    assert f'</events/{run["event_id"]}>; rel="monitor"' == answer.headers["link"]
    assert "accepted" == operator.get(f"/events/{run['event_id']}").json()["state"]
    assert fired == {
        name: value for name, value in operator.get("/schedules/rare").json()["last_run"].items() if name != "consumers"
    }


def test_a_backfill_of_a_hundred_due_times_ends_with_its_progress_shown(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    words = ["backfill", "tick", "--since", THEN.isoformat(), "--until", (THEN + 100 * SECOND).isoformat()]
    assert 0 == commands.code(program.app, "./tidings schedules", [*words, "--why", "lost", "--json"])
    output, errors = capsys.readouterr()
    ended = json.loads(output)
    assert ("done", 100, 100, 1.0) == (ended["state"], ended["total"], ended["handled"], ended["progress"])
    assert "of 100 ended" in errors
    afterwards = [run for run in runs(database) if run.kind == "backfill"]
    assert [THEN + number * SECOND for number in range(100)] == [run.due_at for run in afterwards]
    assert {"fired"} == {run.state for run in afterwards}
    assert {run.event_id for run in afterwards} <= {each.id for each in announced(database)}


def test_a_backfill_that_is_stopped_half_way_gives_up_the_rest(operator: TestClient, database: Database) -> None:
    begun = backfill(operator, "tick", 3_000)
    until(lambda: operation(operator, begun)["handled"])
    operator.post(f"/operations/{begun}/stop", json={}).raise_for_status()
    until(lambda: operation(operator, begun)["state"] == "stopped", seconds=20)
    ended = operation(operator, begun)
    states = [run.state for run in runs(database) if run.kind == "backfill"]
    assert (3_000, ended["handled"]) == (len(states), states.count("fired"))
    assert 3_000 - ended["handled"] == states.count("cancelled") > 0
    assert f"{states.count('cancelled')} given up" in ended["message"]


def test_a_backfill_that_is_stopped_before_a_scheduler_saw_it_fires_nothing(database: Database) -> None:
    dues = [THEN + number * SECOND for number in range(10)]

    def begin(session: Any) -> None:
        operations.add(session, operations.BACKFILL, {}, operation_id="1", total=10)
        schedule_runs.order(session, "tick", dues, "backfill", operation_id="1")
        operations.ask_to_stop(session, "1")

    database.run(begin)
    until(lambda: "cancelled" in {run.state for run in runs(database)}, seconds=20)
    assert ["cancelled"] * 10 == [run.state for run in runs(database) if run.kind == "backfill"]


def test_a_schedule_that_is_added_fires_and_one_that_is_removed_does_not(
    operator: TestClient, database: Database
) -> None:
    new = {"name": "mine", "trigger": {"every": "1s"}, "type": "day.ended", "data": DATA}
    operator.post("/schedules", json=new).raise_for_status()
    made = datetime.now(UTC)
    until(lambda: len(runs(database, "mine")) >= 2, seconds=20)
    assert runs(database, "mine")[0].due_at < made + 2 * SECOND
    assert "2026-11-24" in {each.subject for each in announced(database)}
    begun = backfill(operator, "mine", 1000)
    operator.delete("/schedules/mine", params=WHY).raise_for_status()
    removed = datetime.now(UTC)
    until(lambda: operation(operator, begun)["state"] == "stopped", seconds=20)
    until(lambda: datetime.now(UTC) > removed + 2 * SECOND)
    left = runs(database, "mine")
    assert max(run.due_at for run in left) <= removed
    assert {"fired", "cancelled"} == {run.state for run in left}
