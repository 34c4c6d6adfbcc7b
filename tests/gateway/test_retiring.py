"""A consumer that is to leave, over HTTP: what is asked for, refused, and shown."""

from typing import Any

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from infra.database import consumers
from infra.database.engine import Database
from infra.database.recovery_tables import Audit
from tests import given_up

WANTED: dict[str, Any] = {"drain": False, "why": "nobody reads them"}


@pytest.fixture(autouse=True)
def declared(database: Database) -> None:
    given_up.declare(database, "sms")


def test_a_retirement_is_an_operation_and_the_consumer_shows_it(operator: TestClient, database: Database) -> None:
    answer = operator.post("/consumers/sms/retire", json=WANTED)
    begun = answer.json()
    assert (202, "consumer.retire", "running", 1) == (answer.status_code, begun["kind"], begun["state"], begun["total"])
    assert begun == operator.get(answer.headers["Location"]).json()
    assert ("retiring", ["sms"]) == (
        operator.get("/consumers/sms").json()["state"],
        [item["name"] for item in operator.get("/consumers?state=retiring").json()["items"]],
    )
    with database.reading() as session:
        deed = session.exec(select(Audit)).one()
    assert ("consumer.retire", "sms", "nobody reads them", begun["id"]) == (
        deed.action, deed.target, deed.why, deed.details["operation"],
    )  # fmt: skip


def test_one_that_leaves_is_neither_paused_nor_retired_again(operator: TestClient) -> None:
    operator.post("/consumers/sms/retire", json=WANTED).raise_for_status()
    for path, body in (("pause", {"why": "x"}), ("resume", {"why": "x"}), ("retire", WANTED)):
        answer = operator.post(f"/consumers/sms/{path}", json=body)
        assert (409, True) == (answer.status_code, "being retired" in answer.json()["detail"])


def test_while_a_program_with_its_module_is_at_work_it_takes_force(operator: TestClient, database: Database) -> None:
    with database.transaction() as session:
        consumers.touch(session, ["sms"])
    answer = operator.post("/consumers/sms/retire", json=WANTED)
    assert (409, True) == (answer.status_code, "or say force" in answer.json()["detail"])
    assert 202 == operator.post("/consumers/sms/retire", json={**WANTED, "force": True}).status_code


def test_nobody_retires_what_is_none(operator: TestClient) -> None:
    assert 404 == operator.post("/consumers/nobody/retire", json=WANTED).status_code
    assert 404 == operator.post("/consumers/%00/retire", json=WANTED).status_code
    assert 422 == operator.post("/consumers/sms/retire", json={"why": "x"}).status_code
