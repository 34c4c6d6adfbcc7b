"""A POST with an Idempotency-Key works once, however often it is sent."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlmodel import col, func, select
from starlette.testclient import TestClient

from infra.database import outbox
from infra.database.engine import Database
from infra.database.tables import Idempotency, User
from tests.problems import told, wrong

KEY = {"idempotency-key": "4a9c3a1e"}

#: For what the database has no part in.
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def counts(database: Database) -> tuple[int, int]:
    """How many users, and how many events."""
    with database.reading() as session:
        return session.exec(select(func.count(col(User.id)))).one(), outbox.backlog(session).rows


def test_the_same_request_again_gets_the_same_answer_and_does_nothing(
    client: TestClient, database: Database, ada: Any
) -> None:
    first = client.post("/users", json=ada, headers=KEY)
    again = client.post("/users", json=ada, headers=KEY)

    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert {**first.headers, "idempotency-replayed": "true"} == dict(again.headers)
    assert counts(database) == (1, 1)


def test_the_same_key_with_another_body_is_refused(client: TestClient, database: Database, ada: Any) -> None:
    client.post("/users", json=ada, headers=KEY)
    other = client.post("/users", json={"name": "Grace", "email": "grace@example.com"}, headers=KEY)

    assert told(other) == (422, "idempotency-key-reused")
    assert counts(database) == (1, 1)


def test_a_refused_request_does_not_use_its_key_up(client: TestClient, ada: Any) -> None:
    client.post("/users", json=ada)
    assert client.post("/users", json=ada, headers=KEY).status_code == 409
    assert client.post("/users", json={**ada, "email": "grace@example.com"}, headers=KEY).status_code == 201


def test_without_a_key_nothing_is_kept(client: TestClient, database: Database, ada: Any) -> None:
    client.post("/users", json=ada)
    with database.reading() as session:
        assert session.exec(select(Idempotency)).all() == []


def test_of_many_at_once_one_does_the_work_and_all_get_its_answer(
    client: TestClient, database: Database, ada: Any
) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.post("/users", json=ada, headers=KEY), range(24)))

    assert {201} == {answer.status_code for answer in answers}
    assert len({answer.content for answer in answers}) == 1
    assert [None] == [
        replayed for answer in answers if (replayed := answer.headers.get("idempotency-replayed")) is None
    ]
    assert counts(database) == (1, 1)


@one_database
@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "tab\there", "ключ".encode(), b"\xff"])
def test_a_key_that_is_not_visible_ascii_is_refused(client: TestClient, ada: Any, key: Any) -> None:
    answer = client.post("/users", json=ada, headers={"idempotency-key": key})
    assert wrong(answer) == ["idempotency-key"]


@one_database
@pytest.mark.parametrize("key", ["x" * 255, '"8e03978e-40d5-43e8-bc93-6894a57f9324"', "!~"])
def test_any_other_key_is_taken(client: TestClient, ada: Any, key: str) -> None:
    assert client.post("/users", json=ada, headers={"idempotency-key": key}).status_code == 201
