"""Schedules over HTTP, as an operator reads them: what fires when, what was fired, what was missed."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from starlette.testclient import TestClient

from events.clock import HeartbeatTicked
from events.envelope import announce
from infra.database import consumers, outbox, schedule_gaps, schedules, silences
from infra.database.engine import Database
from infra.subscriptions import Subscription
from tests import timetables
from tests.problems import told, wrong
from tests.timetables import DATA, DUE, SECOND, fired

NAMES = ["day-end", "taking", "tick"]
#: For what the database has no part in.
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def timetable(database: Database) -> None:
    timetables.declare(database)


def listed(operator: TestClient, **query: Any) -> list[str]:
    items = operator.get("/schedules", params=query).raise_for_status().json()["items"]
    return [item["name"] for item in items]


def shown(operator: TestClient, name: str) -> Any:
    return operator.get(f"/schedules/{name}").raise_for_status().json()


def dues(operator: TestClient, path: str = "/schedules/tick/runs", **query: Any) -> list[int]:
    items = operator.get(path, params=query).raise_for_status().json()["items"]
    return [(datetime.fromisoformat(item["due_at"]) - DUE).seconds for item in items]


def test_schedules_are_listed_by_name_with_all_that_is_known(operator: TestClient) -> None:
    items = operator.get("/schedules").raise_for_status().json()["items"]
    assert NAMES == [item["name"] for item in items]
    taking = items[1]
    coming = taking.pop("next")
    assert taking.pop("counts_from") == taking.pop("created_at")
    assert {
        "name": "taking",
        "origin": "operator",
        "description": "",
        "state": "running",
        "type": "day.ended",
        "data": DATA,
        "trigger": {"cron": "30 2 * * MON-FRI", "zone": "Europe/Berlin"},
        "when": "at 02:30 on Monday through Friday, Europe/Berlin",
        "zone": "Europe/Berlin",
        "missed": "latest",
        "missed_limit": 100,
        "overlap": "skip",
        "pause": None,
        "silent_since": None,
        "retired_at": None,
        "last_run": None,
        "missed_count": 0,
    } == taking
    assert 5 == len(coming)
    for fire in coming:
        local = datetime.fromisoformat(fire["local"])
        assert (2, 30) == (local.hour, local.minute)
        assert local.weekday() < 5
        assert datetime.fromisoformat(fire["at"]) == local
    assert {**taking, "next": coming} == {
        name: value for name, value in shown(operator, "taking").items() if name not in {"counts_from", "created_at"}
    }


def test_one_without_a_zone_fires_in_utc(operator: TestClient) -> None:
    tick = shown(operator, "tick")
    assert ("every second", None, "code", None) == (tick["when"], tick["zone"], tick["origin"], tick["data"])
    first, second, *_ = (datetime.fromisoformat(fire["local"]) for fire in tick["next"])
    assert (SECOND, timedelta(0)) == (second - first, first.utcoffset())


def test_they_come_in_pages(operator: TestClient) -> None:
    first = operator.get("/schedules", params={"limit": 2}).json()
    second = operator.get("/schedules", params={"limit": 2, "cursor": first["next"]}).json()
    assert NAMES == [item["name"] for item in [*first["items"], *second["items"]]]
    assert second["next"] is None


def test_they_are_filtered_by_state_origin_and_type(operator: TestClient, database: Database) -> None:
    database.run(lambda session: schedules.pause(session, "tick", "ada", "too loud"))
    assert [["tick"], ["day-end", "taking"], [], []] == [
        listed(operator, state=each) for each in ("paused", "running", "silent", "retired")
    ]
    assert [["day-end", "tick"], ["taking"]] == [listed(operator, origin=each) for each in ("code", "operator")]
    assert ["day-end", "taking"] == listed(operator, type="day.ended")
    assert ["taking"] == listed(operator, type="day.ended", origin="operator")


def test_the_state_that_matters_most_is_shown_and_found(operator: TestClient, database: Database) -> None:
    def state() -> str:
        found: str = shown(operator, "tick")["state"]
        assert ["tick"] == [name for name in listed(operator, state=found) if name == "tick"]
        return found

    seen = [state()]
    for change in (
        partial(silences.begin, schedule="tick", since=DUE),
        partial(schedules.pause, name="tick", who="ada", why="too loud"),
        partial(schedules.declare, definitions=[]),
    ):
        database.run(change)
        seen.append(state())
    assert ["running", "silent", "paused", "retired"] == seen
    assert [] == shown(operator, "tick")["next"]


def test_the_last_run_is_shown_with_its_lateness_and_what_became_of_it(
    operator: TestClient, database: Database
) -> None:
    takers = [Subscription(name, ("heartbeat.ticked",), lambda *_: None) for name in ("b-taker", "a-taker")]
    database.run(lambda session: consumers.declare(session, takers))
    fired(database, 0)
    event_id = fired(database, 1)
    envelope = announce(HeartbeatTicked(due_at=DUE + SECOND), source="/scheduler", id=event_id)
    database.run(lambda session: outbox.add(session, envelope))
    last = shown(operator, "tick")["last_run"]
    outcomes = [(each["consumer"], each["state"]) for each in last.pop("consumers")]
    assert [("a-taker", "pending"), ("b-taker", "pending")] == outcomes
    assert (DUE + SECOND, 0.25) == (datetime.fromisoformat(last["due_at"]), last["lateness"])
    assert ("due", "fired", event_id) == (last["kind"], last["state"], last["event_id"])
    assert shown(operator, "day-end")["last_run"] is None


def test_runs_are_listed_from_the_newest_due_time_on_and_filtered(operator: TestClient, database: Database) -> None:
    for number in range(4):
        fired(database, number)
    fired(database, 4, state="skipped", note="sms has not ended the tick before.")
    fired(database, 5, kind="backfill", operation_id="1")
    assert [5, 4, 3, 2, 1, 0] == dues(operator)
    assert [[4], [5], [3, 2, 1, 0]] == [
        dues(operator, state="skipped"),
        dues(operator, kind="backfill"),
        dues(operator, state="fired", kind="due"),
    ]
    assert [3, 2] == dues(operator, since=(DUE + 2 * SECOND).isoformat(), until=(DUE + 4 * SECOND).isoformat())
    first = operator.get("/schedules/tick/runs", params={"limit": 4}).json()
    assert [1, 0] == dues(operator, limit=4, cursor=first["next"])
    assert [None, None, 0.25] == [item["lateness"] for item in first["items"]][:3]


def test_gaps_are_listed_and_what_was_missed_is_counted(operator: TestClient, database: Database) -> None:
    for reason, due, count in (("missed", 10, 1), ("paused", 7, 0), ("missed", 5, 0)):
        gap = schedule_gaps.new(
            schedule="tick", reason=reason, first=DUE, last=DUE + SECOND, due=due, fired=count, policy="latest"
        )
        database.run(partial(schedule_gaps.add, gap=gap))
    assert (14, 0) == (shown(operator, "tick")["missed_count"], shown(operator, "taking")["missed_count"])
    first = operator.get("/schedules/tick/gaps", params={"limit": 2}).json()
    second = operator.get("/schedules/tick/gaps", params={"cursor": first["next"]}).json()
    assert [("missed", 5, 0), ("paused", 7, 0), ("missed", 10, 1)] == [
        (item["reason"], item["due"], item["fired"]) for item in [*first["items"], *second["items"]]
    ]


def test_a_trigger_of_a_newer_version_is_shown_without_its_fires(operator: TestClient, database: Database) -> None:
    definition = schedules.Definition(name="moon", trigger={"moon": "full"}, type="day.ended")
    database.run(lambda session: schedules.add(session, definition))
    moon = shown(operator, "moon")
    assert ("in a way that this version cannot read", None, []) == (moon["when"], moon["zone"], moon["next"])
    since = {"since": DUE.isoformat(), "why": "x"}
    assert (409, "conflict") == told(operator.post("/schedules/moon/backfill", json=since))


@pytest.mark.parametrize("name", ["unknown", "Tick", "tick%00", "%F0%9F%98%80", "a" * 300])
def test_an_unknown_schedule_is_not_found(operator: TestClient, name: str) -> None:
    for path in (f"/schedules/{name}", f"/schedules/{name}/runs", f"/schedules/{name}/gaps"):
        assert (404, "not-found") == told(operator.get(path))


@one_database
@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/schedules", {"state": "broken"}, "state"),
        ("/schedules", {"origin": "nowhere"}, "origin"),
        ("/schedules", {"typ": "day.ended"}, "typ"),
        ("/schedules", {"cursor": "x"}, "cursor"),
        ("/schedules/tick/runs", {"state": "running"}, "state"),
        ("/schedules/tick/runs", {"kind": "x"}, "kind"),
        ("/schedules/tick/runs", {"since": "yesterday"}, "since"),
        ("/schedules/tick/runs", {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, ""),
        ("/schedules/tick/runs", {"cursor": "x"}, "cursor"),
        ("/schedules/tick/gaps", {"cursor": "x"}, "cursor"),
        ("/schedules/tick/gaps", {"limit": "0"}, "limit"),
    ],
)
def test_a_wrong_question_is_refused_by_name(operator: TestClient, path: str, query: Any, field: str) -> None:
    assert [field] == wrong(operator.get(path, params=query))


@one_database
@pytest.mark.parametrize("path", ["/schedules", "/schedules/tick", "/schedules/tick/runs", "/schedules/tick/gaps"])
def test_only_the_operator_sees_them(client: TestClient, path: str) -> None:
    assert (401, "unauthorized") == told(client.get(path))
