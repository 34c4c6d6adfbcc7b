"""Whatever goes wrong is told as problem details, without a submitted value and without our insides."""

import sqlite3
import threading
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from starlette.testclient import TestClient

from gateway import writing
from infra.database import outbox
from infra.database.engine import Database
from infra.errors import DatabaseUnavailable
from tests.problems import told

SECRET = "hunter2"
JSON = {"content-type": "application/json"}
UTF_16 = '{"name": "hunter2"}'.encode("utf-16")
OTHER_MEDIA = (415, "unsupported-media-type")

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def bare(app: FastAPI) -> TestClient:
    """A client that would be told of an exception that leaves the application."""
    return TestClient(app)


@pytest.mark.parametrize(
    ("method", "path", "more", "expected"),
    [
        ("GET", "/nowhere", {}, (404, "not-found")),
        ("GET", "/users/", {}, (404, "not-found")),
        ("DELETE", "/users", {}, (405, "method-not-allowed")),
        ("POST", "/users", {"content": b"{", "headers": JSON}, (400, "malformed-json")),
        ("POST", "/users", {"content": b"\xff\xfe", "headers": JSON}, (400, "malformed-json")),
        ("POST", "/users", {"content": UTF_16, "headers": JSON}, (400, "malformed-json")),
        ("POST", "/users", {"content": b"", "headers": JSON}, (422, "invalid")),
        ("POST", "/users", {"json": [SECRET]}, (422, "invalid")),
        ("POST", "/users", {"json": SECRET}, (422, "invalid")),
        ("POST", "/users", {"json": {"name": [SECRET], "email": SECRET, "password": SECRET}}, (422, "invalid")),
        ("POST", "/users", {"json": {"name": {"x": SECRET}, "email": f"{SECRET}(@example.com"}}, (422, "invalid")),
        ("POST", "/users", {"data": {"name": SECRET}}, OTHER_MEDIA),
        ("POST", "/users", {"content": b"{}"}, OTHER_MEDIA),
        ("POST", "/users", {"content": b"{}", "headers": {"content-type": "text/json"}}, OTHER_MEDIA),
        ("POST", "/users", {"content": b"{}", "headers": {**JSON, "content-encoding": "gzip"}}, OTHER_MEDIA),
        ("POST", "/users", {"content": SECRET.encode() * 10_000, "headers": JSON}, (413, "body-too-large")),
        ("GET", "/users", {"headers": {"authorization": f"Bearer {SECRET}"}}, (401, "unauthorized")),
    ],
)  # fmt: skip
def test_each_error_is_a_problem_and_repeats_no_value(
    bare: TestClient, method: str, path: str, more: Any, expected: tuple[int, str]
) -> None:
    answer = bare.request(method, path, **more)
    assert told(answer) == expected
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"]
)
def test_json_by_any_of_its_names_is_taken(bare: TestClient, kind: str) -> None:
    body = b'{"name": "Ada", "email": "ada@example.com"}'
    assert bare.post("/users", content=body, headers={"content-type": kind}).status_code == 201


def test_a_fault_of_ours_is_a_500_that_says_only_where_to_look(
    bare: TestClient, ada: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr(outbox, "add", stumble)
    with structlog.testing.capture_logs() as lines:
        answer = bare.post("/users", json=ada)

    assert told(answer) == (500, "failed")
    assert [line["correlation_id"] for line in lines] == [answer.json()["correlation_id"]]
    assert "ValueError" not in answer.text
    assert SECRET not in answer.text
    assert answer.json()["correlation_id"] in answer.json()["detail"]


def test_a_database_that_is_away_is_a_503_with_a_time_to_come_back(
    bare: TestClient, ada: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise DatabaseUnavailable("The database is away: host db.internal")

    monkeypatch.setattr(outbox, "add", away)
    answer = bare.post("/users", json=ada)
    assert told(answer) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert "internal" not in answer.text


def test_a_write_that_does_not_end_is_a_503_and_not_a_hung_request(
    bare: TestClient, database: Database, ada: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "DEADLINE", 0.05)
    begun, ended = threading.Event(), threading.Event()

    def be_busy(_: object) -> None:
        begun.set()
        ended.wait(10)

    busy = database.submit(be_busy)
    assert begun.wait(10)  # else the write might be taken up with it
    answer = bare.post("/users", json=ada)
    ended.set()
    busy.result()

    assert told(answer) == (503, "unavailable")
    assert bare.post("/users", json=ada).status_code == 201, "a write that was given up before its turn is not done"


def test_an_error_in_sql_does_not_show_it(bare: TestClient, database: Database, ada: Any) -> None:
    with database.transaction() as session:
        session.connection().exec_driver_sql("DROP TABLE outbox")
    with structlog.testing.capture_logs():
        answer = bare.post("/users", json=ada)
    assert told(answer) == (500, "failed")
    assert not any(word in answer.text for word in ("outbox", "sqlite", "INSERT", ada["email"], sqlite3.__name__))
