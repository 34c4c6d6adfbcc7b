"""Cancelling jobs that are neither simply waiting nor simply at work."""

from datetime import UTC, datetime, timedelta

import pytest
from httpx2 import Response
from sqlalchemy import update
from starlette.testclient import TestClient

from infra.database.engine import Database
from infra.database.job_tables import Job
from infra.database.tables import table
from tests import kinds
from tests.kinds import change
from tests.problems import told


@pytest.fixture(autouse=True)
def declared(database: Database) -> None:
    kinds.declare(
        database,
        kinds.subscription("refusing", kinds.Anything, unique="refuse"),
        kinds.subscription("joining", kinds.Anything, unique="join"),
    )


def ask(operator: TestClient, number: int = 0, kind: str = "refusing") -> Response:
    return operator.post("/jobs", json={"kind": kind, "parameters": {"number": number}})


def test_one_whose_worker_has_died_is_cancelled_at_once_though_it_was_to_see_it(
    operator: TestClient, database: Database
) -> None:
    """No other worker may come for hours: its kind is paused, say."""
    for number, seen in enumerate([None, datetime.now(UTC)]):
        job_id = ask(operator, number).json()["id"]
        over = datetime.now(UTC) - timedelta(seconds=1)
        change(database, job_id, state="running", busy_until=over, cancelled_at=seen)
        assert "cancelled" == operator.delete(f"/jobs/{job_id}").json()["state"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_one_that_an_erasure_cancelled_is_cancelled(operator: TestClient, database: Database) -> None:
    job_id = ask(operator).json()["id"]
    change(database, job_id, state="cancelled", cancelled_at=None)
    answer = operator.delete(f"/jobs/{job_id}")
    assert (200, "cancelled") == (answer.status_code, answer.json()["state"])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_job_in_the_middle_of_a_step_keeps_nobody_waiting(operator: TestClient, database: Database) -> None:
    """All writes of the gateway share a thread, and a step may last for as long as a transaction may."""
    job_id = ask(operator).json()["id"]
    change(database, job_id, state="running", busy_until=datetime.now(UTC) + timedelta(minutes=1))
    with database.transaction() as session:
        session.connection().execute(update(table(Job)).values(busy_until=datetime.now(UTC) + timedelta(minutes=2)))
        answer = operator.delete(f"/jobs/{job_id}")
        assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
        assert "This job is in the middle of a step" in answer.json()["detail"]
        assert (409, "job-open") == told(ask(operator))
    assert 200 == operator.delete(f"/jobs/{job_id}").status_code


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_one_that_is_being_cancelled_is_not_joined(operator: TestClient, database: Database) -> None:
    job_id = ask(operator, kind="joining").json()["id"]
    change(database, job_id, state="running", busy_until=datetime.now(UTC) + timedelta(minutes=1))
    assert 200 == ask(operator, kind="joining").status_code
    assert operator.delete(f"/jobs/{job_id}").json()["cancelling"]
    refused = ask(operator, kind="joining")
    assert (503, "1") == (refused.status_code, refused.headers["retry-after"])
    assert f"/jobs/{job_id} with these parameters is being cancelled" in refused.json()["detail"]
