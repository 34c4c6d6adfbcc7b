"""Consumers over HTTP: who takes what and how far each has come; paused, resumed, and asked for wrongly."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import select
from starlette.testclient import TestClient

from infra.database import consumers, pauses
from infra.database.engine import Database
from infra.database.pauses import FAILURES
from infra.database.recovery_tables import Audit
from infra.database.tables import Subscription as Row
from infra.database.tables import table
from infra.subscriptions import Subscription
from tests.problems import told, wrong

NAMES = ("activity-log", "sms", "welcome-email")
WHY = {"why": "maintenance of the mail server"}
#: For what the database has no part in.
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def declared(database: Database) -> None:
    types = {"activity-log": ("#",), "sms": ("user.removed",), "welcome-email": ("user.registered",)}
    subscriptions = [Subscription(name, types[name], _unused, description=f"The {name}.") for name in NAMES]
    with database.transaction() as session:
        consumers.declare(session, subscriptions)


def listed(operator: TestClient, **query: Any) -> list[str]:
    items = operator.get("/consumers", params=query).raise_for_status().json()["items"]
    return [item["name"] for item in items]


def deeds(database: Database) -> Sequence[Audit]:
    with database.reading() as session:
        return session.exec(select(Audit).order_by("id")).all()


def paused_by_failures(database: Database, probe_in: float, prober: str | None = None) -> None:
    """As `sms` pauses itself; with a prober, a probe is under way."""
    now = datetime.now(UTC)
    with database.transaction() as session:
        pauses.pause(session, "sms", FAILURES, "20 failures in a row", now)
        if prober is not None:
            until = now + timedelta(seconds=probe_in)
            assert pauses.take_probe(session, "sms", prober=prober, now=now, until=until)


def test_consumers_are_listed_by_name_with_all_that_is_known(operator: TestClient) -> None:
    items = operator.get("/consumers").raise_for_status().json()["items"]
    assert list(NAMES) == [item["name"] for item in items]
    declared_at = items[2].pop("declared_at")
    assert datetime.fromisoformat(declared_at).tzinfo is not None
    assert {
        "name": "welcome-email",
        "description": "The welcome-email.",
        "types": ["user.registered"],
        "state": "running",
        "pause": None,
        "settled": 0,
        "last": 0,
        "lag_events": 0,
        "lag_seconds": 0.0,
        "resent": 0,
        "waiting_events": 0,
        "waiting_subjects": 0,
        "since": 0,
        "options": {
            "module": "tests.gateway.test_consumers",
            "concurrency": 4,
            "timeout": 60.0,
            "batch": None,
            "ordered": False,
            "filtered": False,
            "pause_after": 20,
            "retry": {"delays": [5, 30, 120, 600, 3600], "rules": 0, "max_age": None},
            "job": False,
            "publishes": None,
        },
    } == items[2]
    assert operator.get("/consumers/welcome-email").json() == {**items[2], "declared_at": declared_at}


@one_database
def test_what_an_older_program_recorded_has_no_options(operator: TestClient, database: Database) -> None:
    with database.transaction() as session:
        session.connection().execute(update(table(Row)).values(options={}))
    options = operator.get("/consumers/sms").raise_for_status().json()["options"]
    assert (None, None, False) == (options["concurrency"], options["retry"], options["ordered"])


def test_they_come_in_pages(operator: TestClient) -> None:
    first = operator.get("/consumers", params={"limit": 2}).json()
    second = operator.get("/consumers", params={"limit": 2, "cursor": first["next"]}).json()
    assert list(NAMES) == [item["name"] for item in [*first["items"], *second["items"]]]
    assert second["next"] is None


def test_they_are_filtered_by_state_and_by_the_type_that_they_take(operator: TestClient, database: Database) -> None:
    paused_by_failures(database, 0)
    assert ["sms"] == listed(operator, state="paused")
    assert ["activity-log", "welcome-email"] == listed(operator, state="running")
    assert ["activity-log", "sms"] == listed(operator, type="user.removed")
    assert ["activity-log"] == listed(operator, type="user.removed", state="running", limit=1)


@one_database
@pytest.mark.parametrize("query", [{"state": "asleep"}, {"cursor": "Y29uc3VtZXJzOkE"}, {"stat": "paused"}])
def test_a_filter_that_makes_no_sense_is_refused(operator: TestClient, query: dict[str, str]) -> None:
    assert 422 == operator.get("/consumers", params=query).status_code


def test_a_consumer_is_paused_with_a_reason_and_who_did_it_is_written_down(
    operator: TestClient, database: Database
) -> None:
    answer = operator.post("/consumers/sms/pause", json=WHY, headers={"tidings-operator": "Ada"})
    assert 200 == answer.status_code
    shown = answer.json()
    assert ("paused", "operator", WHY["why"], None) == (
        shown["state"], shown["pause"]["by"], shown["pause"]["reason"], shown["pause"]["probe_at"],
    )  # fmt: skip
    assert shown == operator.get("/consumers/sms").json()
    (deed,) = deeds(database)
    assert ("Ada", "consumer.pause", "sms", WHY["why"], {}) == (
        deed.who, deed.action, deed.target, deed.why, deed.details,
    )  # fmt: skip


def test_a_paused_consumer_is_resumed_and_what_had_paused_it_is_kept(operator: TestClient, database: Database) -> None:
    paused_by_failures(database, 0)
    answer = operator.post("/consumers/sms/resume", json={"why": "the account has money again"})
    assert (200, "running", None) == (answer.status_code, answer.json()["state"], answer.json()["pause"])
    (deed,) = deeds(database)
    assert ("consumer.resume", "failures", "20 failures in a row") == (
        deed.action, deed.details["paused_by"], deed.details["paused_because"],
    )  # fmt: skip


def test_an_operators_pause_takes_the_place_of_the_consumers_own(operator: TestClient, database: Database) -> None:
    paused_by_failures(database, 30, "a process")
    assert 200 == operator.post("/consumers/sms/pause", json=WHY).status_code
    pause = operator.get("/consumers/sms").json()["pause"]
    assert ("operator", None) == (pause["by"], pause["probe_at"])


@pytest.mark.parametrize(("prober", "probe_in", "state"), [
    (None, 0, "paused"),
    ("a process", 30, "probing"),
    ("a process that died", -1, "paused"),
])  # fmt: skip
def test_a_probe_under_way_is_shown(
    operator: TestClient, database: Database, prober: str | None, probe_in: float, state: str
) -> None:
    paused_by_failures(database, probe_in, prober)
    assert (state, "failures") == (
        operator.get("/consumers/sms").json()["state"],
        operator.get("/consumers/sms").json()["pause"]["by"],
    )


def test_what_is_so_already_is_a_conflict_and_nothing_is_written_down(operator: TestClient, database: Database) -> None:
    assert (409, "conflict") == told(operator.post("/consumers/sms/resume", json=WHY))
    operator.post("/consumers/sms/pause", json=WHY)
    assert (409, "conflict") == told(operator.post("/consumers/sms/pause", json=WHY))
    assert 1 == len(deeds(database))


@pytest.mark.parametrize("name", ["unknown", "a%00b", "A", "%F0%9F%98%80"])
def test_a_consumer_that_is_not_recorded_is_not_found(operator: TestClient, name: str) -> None:
    assert 404 == operator.get(f"/consumers/{name}").status_code
    assert 404 == operator.post(f"/consumers/{name}/pause", json=WHY).status_code
    assert 404 == operator.post(f"/consumers/{name}/resume", json=WHY).status_code


@one_database
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "why"),
        ({"why": ""}, "why"),
        ({"why": "a\nb"}, "why"),
        ({"why": "x" * 501}, "why"),
        ({"why": "x", "until": "later"}, "until"),
    ],
)
def test_a_pause_asks_for_a_reason_and_nothing_else(operator: TestClient, body: dict[str, str], field: str) -> None:
    assert [field] == wrong(operator.post("/consumers/sms/pause", json=body))


def test_the_same_request_again_pauses_once(operator: TestClient, database: Database) -> None:
    key = {"idempotency-key": "7d1b"}
    first, again = (operator.post("/consumers/sms/pause", json=WHY, headers=key) for _ in range(2))
    assert (200, first.content) == (again.status_code, again.content)
    assert 1 == len(deeds(database))


@one_database
def test_only_an_operator_may(client: TestClient) -> None:
    assert 401 == client.get("/consumers").status_code
    assert 401 == client.post("/consumers/sms/pause", json=WHY).status_code


def _unused(*_: object) -> None:
    raise AssertionError("no handler is called here")
