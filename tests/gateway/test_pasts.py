"""A consumer's past over HTTP: counted first, begun once, stopped and resumed; what makes no sense names its field."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from infra.backfilling.working import Backfilling
from infra.database.engine import Database
from tests.eventlogs import DAY, USER, fill
from tests.pasts import ago
from tests.problems import wrong
from tests.relays import record

#: For what the database has no part in.
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def log(database: Database) -> None:
    fill(database, 40, at=ago(3_600))
    record(database, DAY, USER, name="sms")


def backfill(operator: TestClient, name: str = "sms", **more: Any) -> Any:
    return operator.post(f"/consumers/{name}/backfill", json={"since": ago(7_200).isoformat(), **more})


def test_a_backfill_is_an_operation_that_can_be_followed_stopped_and_resumed(
    operator: TestClient, database: Database
) -> None:
    answer = backfill(operator, types=[USER], rate=200, why="a new consumer")
    operation = answer.json()
    path = f"/operations/{operation['id']}"
    assert (202, path) == (answer.status_code, answer.headers["location"])
    assert ("consumer.backfill", "running", 36) == (operation["kind"], operation["state"], operation["total"])
    assert [operation["id"]] == [
        each["id"] for each in operator.get("/operations", params={"kind": "consumer.backfill"}).json()["items"]
    ]
    assert 409 == operator.post(f"{path}/resume").status_code
    assert 202 == operator.post(f"{path}/stop", json={"why": "too early"}).status_code
    Backfilling(database, grace=60).step()
    assert "stopped" == operator.get(path).json()["state"]
    assert (202, "running") == ((resumed := operator.post(f"{path}/resume")).status_code, resumed.json()["state"])
    deeds = [each["action"] for each in operator.get("/audit").json()["items"]]
    assert ["operation.resume", "operation.stop", "consumer.backfill"] == deeds


def test_a_dry_run_counts_and_changes_nothing(operator: TestClient) -> None:
    answer = backfill(operator, dry_run=True, rate=8)
    found = answer.json()
    assert (200, 40, 0, {DAY: 4, USER: 36}, 5.0) == (
        answer.status_code, found["would_send"], found["already_settled"], found["by_type"], found["seconds"]
    )  # fmt: skip
    assert [] == operator.get("/operations").json()["items"]


def test_a_second_one_meanwhile_is_refused_and_names_the_first(operator: TestClient) -> None:
    first = backfill(operator).json()
    refused = backfill(operator)
    assert (409, True) == (refused.status_code, first["id"] in refused.json()["detail"])


def test_with_a_key_it_begins_once(operator: TestClient) -> None:
    body, key = {"since": ago(7_200).isoformat()}, {"idempotency-key": "once"}
    first, second = (operator.post("/consumers/sms/backfill", json=body, headers=key) for _ in range(2))
    assert (first.json(), "true") == (second.json(), second.headers["idempotency-replayed"])


@one_database
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"since": ago(-86_400).isoformat()}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"since": None}, "since"),
        ({"until": ago(-86_400).isoformat()}, "until"),
        ({"until": ago(9_000).isoformat()}, "until"),
        ({"types": ["hour.passed"]}, "types"),
        ({"types": "user.registered"}, "types"),
        ({"rate": 0}, "rate"),
        ({"rate": "quick"}, "rate"),
        ({"all": True}, "all"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(operator: TestClient, changes: dict[str, Any], field: str) -> None:
    assert [field] == wrong(backfill(operator, **changes))


@one_database
def test_a_consumer_that_nobody_knows_is_not_found(operator: TestClient) -> None:
    assert 404 == backfill(operator, "nobody").status_code


@one_database
def test_operations_of_other_kinds_do_not_go_on(operator: TestClient, database: Database) -> None:
    assert 404 == operator.post("/operations/01935b2e-0000-7000-8000-000000000000/resume").status_code
