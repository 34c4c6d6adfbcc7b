"""What operators do to schedules over HTTP: pause, resume, run, backfill, add and remove; and every wrong way to."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from events.clock import due_id
from infra.database import operations, schedule_runs, schedules
from infra.database.engine import Database
from infra.database.recovery_tables import Audit
from infra.errors import NotPossible
from infra.schedules import resuming
from tests import timetables
from tests.problems import told, wrong
from tests.timetables import DATA, DUE, SECOND, fired

WHY = {"why": "the printer is on fire"}
NEW = {"name": "stock-taking", "trigger": {"every": "30s"}, "type": "day.ended", "data": DATA}
HOUR = timedelta(hours=1)
#: For what the database has no part in.
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def timetable(database: Database) -> None:
    timetables.declare(database)


def deeds(database: Database) -> Sequence[Audit]:
    with database.reading() as session:
        return session.exec(select(Audit).order_by("id")).all()


def told_of(database: Database) -> list[tuple[str, str, str, str]]:
    return [(deed.who, deed.action, deed.target, deed.why) for deed in deeds(database)]


def change(operator: TestClient, name: str = "tick", **body: Any) -> Any:
    return operator.patch(f"/schedules/{name}", json=WHY | body, headers={"tidings-operator": "ada"})


def runs(operator: TestClient, name: str = "tick") -> Any:
    return operator.get(f"/schedules/{name}/runs", params={"limit": 200}).raise_for_status().json()["items"]


def backfill(operator: TestClient, first: int = 0, end: int = 10, name: str = "tick", **more: Any) -> Any:
    body = {"since": (DUE + first * SECOND).isoformat(), "until": (DUE + end * SECOND).isoformat(), **WHY, **more}
    return operator.post(f"/schedules/{name}/backfill", json=body)


def test_a_pause_is_shown_with_who_and_why_and_no_due_time_is_fired(operator: TestClient, database: Database) -> None:
    paused = change(operator, paused=True).raise_for_status().json()
    assert ("paused", "ada", WHY["why"]) == (paused["state"], paused["pause"]["by"], paused["pause"]["why"])
    assert datetime.now(UTC) - datetime.fromisoformat(paused["pause"]["since"]) < timedelta(minutes=1)
    due = datetime.now(UTC) + SECOND
    claim = schedule_runs.Claim(schedule="tick", due_at=due, event_id=due_id("tick", due))
    assert set() == database.run(lambda session: schedule_runs.claim(session, [claim]))
    assert [("ada", "schedule.pause", "tick", WHY["why"])] == told_of(database)


def test_a_schedule_that_is_resumed_counts_from_now_on_and_says_what_passed(
    operator: TestClient, database: Database
) -> None:
    started = timetables.back(database, "tick", hours=1)
    change(operator, paused=True)
    resumed = change(operator, paused=False).raise_for_status().json()
    assert ("running", None) == (resumed["state"], resumed["pause"])
    (gap,) = operator.get("/schedules/tick/gaps").json()["items"]
    assert ("paused", 0, "all") == (gap["reason"], gap["fired"], gap["policy"])
    first, last = (datetime.fromisoformat(gap[name]) for name in ("first_due_at", "last_due_at"))
    counts_from = datetime.fromisoformat(resumed["counts_from"])
    assert timedelta() < first - started <= SECOND
    assert timedelta() <= counts_from - last < SECOND
    assert (last - first) / SECOND + 1 == gap["due"]
    assert 0 == resumed["missed_count"]
    deed = deeds(database)[-1]
    assert ("schedule.resume", gap["due"], "ada") == (deed.action, deed.details["passed"], deed.details["paused_by"])


def test_a_pause_that_no_due_time_fell_into_leaves_no_gap(operator: TestClient) -> None:
    change(operator, "day-end", paused=True)
    change(operator, "day-end", paused=False).raise_for_status()
    assert [] == operator.get("/schedules/day-end/gaps").json()["items"]


def test_a_long_pause_is_counted_by_its_pace(
    operator: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = NEW | {"trigger": {"cron": "* * * * * *", "zone": "UTC"}}
    operator.post("/schedules", json=added).raise_for_status()
    timetables.back(database, "stock-taking", hours=2)
    change(operator, "stock-taking", paused=True)
    monkeypatch.setattr(resuming, "COUNTED", 100)
    change(operator, "stock-taking", paused=False).raise_for_status()
    (gap,) = operator.get("/schedules/stock-taking/gaps").json()["items"]
    assert 7200 == pytest.approx(gap["due"], rel=0.02)


def test_what_is_so_already_is_not_done_again(operator: TestClient, database: Database) -> None:
    assert (409, "conflict") == told(change(operator, paused=False))
    change(operator, paused=True)
    assert (409, "conflict") == told(change(operator, paused=True))
    assert ["schedule.pause"] == [deed.action for deed in deeds(database)]


def test_one_that_was_changed_while_it_was_resumed_stays_paused(operator: TestClient, database: Database) -> None:
    change(operator, paused=True)
    prepared = resuming.prepare(database, "tick")
    change(operator, paused=False)
    change(operator, paused=True)
    with pytest.raises(NotPossible, match="at the same moment"):
        database.run(lambda session: resuming.resume(session, prepared, who="ada", why="x"))


def test_a_run_of_now_is_ordered_and_marked(operator: TestClient, database: Database) -> None:
    change(operator, paused=True)  # which does not matter
    answer = operator.post("/schedules/tick/run", json=WHY, headers={"tidings-operator": "ada"})
    run = answer.json()
    assert (202, "manual", "ordered") == (answer.status_code, run["kind"], run["state"])
    assert (f"ada: {WHY['why']}", None) == (run["note"], run["lateness"])
    assert f'</events/{run["event_id"]}>; rel="monitor"' == answer.headers["link"]
    assert due_id("tick", datetime.fromisoformat(run["due_at"])) == run["event_id"]
    assert [run] == runs(operator)
    assert 1 == timetables.scheduler(database)
    (after,) = runs(operator)
    assert ("fired", True) == (after["state"], after["lateness"] >= 0)
    assert ("ada", "schedule.run", "tick", WHY["why"]) == told_of(database)[-1]


def test_with_a_key_a_run_is_ordered_once(operator: TestClient) -> None:
    key = {"idempotency-key": "once"}
    first, second = (operator.post("/schedules/tick/run", json=WHY, headers=key) for _ in range(2))
    assert (first.json(), "true") == (second.json(), second.headers["idempotency-replayed"])
    assert 1 == len(runs(operator))


def test_a_schedule_is_added_and_shown(operator: TestClient, database: Database) -> None:
    answer = operator.post("/schedules", json=NEW | WHY, headers={"idempotency-key": "once"})
    made = answer.json()
    assert (201, "/schedules/stock-taking") == (answer.status_code, answer.headers["location"])
    assert ("operator", "running", {"every": "30s"}) == (made["origin"], made["state"], made["trigger"])
    assert (DATA, "latest", 100, "allow", "") == tuple(
        made[name] for name in ("data", "missed", "missed_limit", "overlap", "description")
    )
    assert made == operator.get("/schedules/stock-taking").json() | {"next": made["next"]}
    again = operator.post("/schedules", json=NEW | WHY, headers={"idempotency-key": "once"})
    assert (201, made) == (again.status_code, again.json())
    assert [("operator", "schedule.add", "stock-taking", WHY["why"])] == told_of(database)
    assert (409, "conflict") == told(operator.post("/schedules", json=NEW))


def test_all_that_makes_a_schedule_is_kept(operator: TestClient) -> None:
    asked = NEW | {"missed": "all", "missed_limit": 7, "overlap": "skip", "description": "Counts what is left."}
    made = operator.post("/schedules", json=asked).raise_for_status().json()
    assert asked == {name: made[name] for name in asked}


def test_a_schedule_is_removed_and_its_runs_stay(operator: TestClient, database: Database) -> None:
    fired(database, 0, "taking")
    order = operator.post("/schedules/taking/run", json=WHY).json()
    assert 204 == operator.delete("/schedules/taking", params=WHY).status_code
    assert (404, "not-found") == told(operator.get("/schedules/taking"))
    assert ["day-end", "tick"] == [item["name"] for item in operator.get("/schedules").json()["items"]]
    cancelled, before = runs(operator, "taking")
    assert ("cancelled", "The schedule was removed.") == (cancelled["state"], cancelled["note"])
    assert (order["event_id"], "fired") == (cancelled["event_id"], before["state"])
    assert [] == operator.get("/schedules/taking/gaps").json()["items"]
    assert ("operator", "schedule.remove", "taking", WHY["why"]) == told_of(database)[-1]
    assert (404, "not-found") == told(operator.delete("/schedules/taking", params=WHY))


def test_the_backfill_of_a_schedule_that_is_removed_is_stopped(operator: TestClient, database: Database) -> None:
    operator.post("/schedules", json=NEW).raise_for_status()
    operation = backfill(operator, 0, 120, "stock-taking").json()
    operator.delete("/schedules/stock-taking", params=WHY)
    with database.reading() as session:
        found = operations.find(session, operation["id"])
    assert found is not None
    assert "stopping" == found.state


def test_one_that_is_made_in_code_is_paused_and_not_removed(operator: TestClient) -> None:
    refused = operator.delete("/schedules/tick", params=WHY)
    assert (409, "conflict") == told(refused)
    assert "it can be paused, not deleted" in refused.json()["detail"]
    assert 200 == operator.get("/schedules/tick").status_code


def test_one_that_the_code_does_not_have_any_more_is_left_alone(operator: TestClient, database: Database) -> None:
    database.run(lambda session: schedules.declare(session, []))
    for answer in (
        change(operator, paused=True),
        change(operator, paused=False),
        operator.post("/schedules/tick/run", json=WHY),
        backfill(operator),
        operator.delete("/schedules/tick", params=WHY),
    ):
        assert (409, "conflict") == told(answer)


@pytest.mark.parametrize("name", ["unknown", "tick%00", "Tick"])
def test_an_unknown_schedule_is_not_found(operator: TestClient, name: str) -> None:
    for answer in (
        change(operator, name, paused=True),
        change(operator, name, paused=False),
        operator.post(f"/schedules/{name}/run", json=WHY),
        backfill(operator, name=name),
        operator.delete(f"/schedules/{name}", params=WHY),
    ):
        assert (404, "not-found") == told(answer)


@one_database
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"trigger": {"cron": "61 * * * *", "zone": "UTC"}}, "trigger.cron"),
        ({"trigger": {"cron": "0 0 30 2 *", "zone": "UTC"}}, "trigger.cron"),
        ({"trigger": {"cron": "* * * * *", "zone": "Mars/Base"}}, "trigger.zone"),
        ({"trigger": {"daily": "25:00", "zone": "UTC"}}, "trigger.daily"),
        ({"trigger": {"every": "0.5s"}}, "trigger.every"),
        ({"trigger": {"every": "1s", "cron": "* * * * *"}}, "trigger"),
        ({"trigger": {}}, "trigger"),
        ({"trigger": "each day"}, "trigger"),
        ({"type": "nothing.happened"}, "type"),
        ({"data": {"day": "yesterday"}}, "data.day"),
        ({"data": {}}, "data.day"),
        ({"data": DATA | {"more": 1}}, "data.more"),
        ({"data": [1]}, "data"),
        ({"name": "Stock Taking"}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"name": ""}, "name"),
        ({"description": "a\u0000b"}, "description"),
        ({"missed": "none"}, "missed"),
        ({"missed_limit": 0}, "missed_limit"),
        ({"overlap": "queue"}, "overlap"),
        ({"jitter": 5}, "jitter"),
        ({"why": ""}, "why"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused_by_field(
    operator: TestClient, database: Database, changes: dict[str, Any], field: str
) -> None:
    assert [field] == wrong(operator.post("/schedules", json=NEW | changes))
    assert [] == told_of(database)


@one_database
@pytest.mark.parametrize("missing", ["name", "trigger", "type"])
def test_a_schedule_without_a_name_trigger_or_type_is_refused(operator: TestClient, missing: str) -> None:
    assert [missing] == wrong(operator.post("/schedules", json={key: NEW[key] for key in NEW if key != missing}))


@one_database
@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PATCH", "/schedules/tick", {"paused": True}, "why"),
        ("PATCH", "/schedules/tick", WHY, "paused"),
        ("PATCH", "/schedules/tick", WHY | {"paused": "now"}, "paused"),
        ("PATCH", "/schedules/tick", WHY | {"paused": True, "until": "noon"}, "until"),
        ("POST", "/schedules/tick/run", {}, "why"),
        ("POST", "/schedules/tick/run", WHY | {"at": "noon"}, "at"),
        ("DELETE", "/schedules/taking", None, "why"),
    ],
)
def test_a_deed_without_its_reason_is_refused(
    operator: TestClient, method: str, path: str, body: Any, field: str
) -> None:
    assert [field] == wrong(operator.request(method, path, json=body))


@one_database
def test_only_the_operator_may(client: TestClient) -> None:
    for method, path in (
        ("POST", "/schedules"),
        ("PATCH", "/schedules/tick"),
        ("DELETE", "/schedules/tick"),
        ("POST", "/schedules/tick/run"),
        ("POST", "/schedules/tick/backfill"),
    ):
        assert (401, "unauthorized") == told(client.request(method, path, json={}))


def test_one_of_many_who_resume_at_once_does_it(operator: TestClient, database: Database) -> None:
    timetables.back(database, "tick", hours=1)
    change(operator, paused=True)
    barrier = Barrier(4)

    def resume(_: int) -> bool:
        prepared = resuming.prepare(database, "tick")
        barrier.wait(10)
        try:
            with database.transaction() as session:
                resuming.resume(session, prepared, who="ada", why="quiet again")
        except NotPossible:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert 1 == sum(pool.map(resume, range(4)))
    assert 1 == len(operator.get("/schedules/tick/gaps").json()["items"])
