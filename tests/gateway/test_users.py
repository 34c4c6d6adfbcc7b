"""Registering people, and finding them again."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from events.envelope import decode
from gateway.users.schemas import email_key
from infra.database import outbox
from infra.database.engine import Database
from tests.envelopes import TRACEPARENT
from tests.problems import told, wrong

#: For what the database has no part in.
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def announced(database: Database) -> list[Any]:
    """The events in the outbox."""
    with database.reading() as session:
        return [decode(row.body.encode()) for row in outbox.due(session, 1000)]


def test_a_registration_is_answered_with_the_user_and_where_to_watch_its_event(client: TestClient, ada: Any) -> None:
    answer = client.post("/users", json=ada)

    user = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/users/{user['id']}"
    assert answer.headers["link"] == f'</events/{user["event_id"]}>; rel="monitor"'
    assert {"id", "name", "email", "registered_at", "event_id"} == user.keys()
    assert ada == {"name": user["name"], "email": user["email"]}
    assert datetime.now(UTC) - datetime.fromisoformat(user["registered_at"]) < timedelta(minutes=1)


def test_a_registration_announces_one_event_about_the_user(client: TestClient, database: Database, ada: Any) -> None:
    user = client.post("/users", json=ada).json()

    (event,) = announced(database)
    assert (user["event_id"], "user.registered", "/gateway", user["id"]) == (
        event.id, event.type, event.source, event.subject
    )  # fmt: skip
    assert (user["id"], ada["name"], ada["email"]) == (str(event.data.user_id), event.data.name, event.data.email)
    assert user["registered_at"] == event.time.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(TRACEPARENT, TRACEPARENT), ("not a trace", None), ("00-" + "0" * 32 + "-b7ad6b7169203331-01", None)],
)
def test_a_valid_trace_goes_on_with_the_event_and_an_invalid_one_is_dropped(
    client: TestClient, database: Database, ada: Any, sent: str, kept: str | None
) -> None:
    assert client.post("/users", json=ada, headers={"traceparent": sent}).status_code == 201
    assert kept == announced(database)[0].traceparent


@pytest.mark.parametrize("same", ["ADA@EXAMPLE.COM", "ada@Example.com", " Ada@example.COM "])
def test_one_address_registers_once_in_whatever_case(
    client: TestClient, database: Database, ada: Any, same: str
) -> None:
    client.post("/users", json=ada)
    answer = client.post("/users", json={"name": "Another", "email": same})

    assert told(answer) == (409, "email-taken")
    assert len(announced(database)) == 1, "the refused one must leave no event"


def test_an_international_domain_is_the_same_in_both_spellings(client: TestClient) -> None:
    first = client.post("/users", json={"name": "Jörg", "email": "joerg@xn--mnchen-3ya.example.com"})
    second = client.post("/users", json={"name": "Jörg", "email": "JOERG@MÜNCHEN.example.com"})
    assert ("joerg@münchen.example.com", 409) == (first.json()["email"], second.status_code)


def test_two_domains_that_only_look_folded_are_two() -> None:
    assert email_key("a@faß.example") != email_key("a@fass.example")


def test_any_script_is_a_name(client: TestClient, operator: TestClient) -> None:
    short = ["Ada", "李清照", "محمد", "José Ñandú", "👩🏽\u200d🚀", "O'Brien; DROP TABLE users", "<b>Ada</b>"]
    for n, name in enumerate([*short, "x" * 200, "李" * 200]):
        user = client.post("/users", json={"name": f"  {name}\t", "email": f"a{n}@example.com"}).json()
        assert operator.get(f"/users/{user['id']}").json()["name"] == name


@one_database
@pytest.mark.parametrize(
    "name",
    ["", "   ", "x" * 201, "Ada\x00", "Ada\nBcc: x", "A\x1b[31m", "A\x7f", "A\x85B", "A\u2028B", 5, None, ["Ada"], {}],
)
def test_what_is_no_name_is_refused(client: TestClient, name: Any) -> None:
    answer = client.post("/users", json={"name": name, "email": "a@example.com"})
    assert wrong(answer) == ["name"]


@one_database
@pytest.mark.parametrize(
    "email",
    ["", "ada", "ada@", "@example.com", "a@b", "a b@example.com", "a@example.com,b@example.com", 5, None, ["a@b.co"],
     "Ada <ada@example.com>", "a@example.com\nBcc: x@example.com", "a@[127.0.0.1]", '"a"@example.com',
     "a@" + "x" * 250 + ".com"],
)  # fmt: skip
def test_what_is_no_address_is_refused(client: TestClient, email: Any) -> None:
    answer = client.post("/users", json={"name": "Ada", "email": email})
    assert wrong(answer) == ["email"]


@one_database
def test_a_field_that_does_not_exist_is_named(client: TestClient, ada: Any) -> None:
    answer = client.post("/users", json={**ada, "passwort": "geheim"})
    assert answer.json()["errors"][0]["in"] == "body"
    assert wrong(answer) == ["passwort"]


def test_a_user_is_found_by_id_in_any_spelling_of_it(client: TestClient, operator: TestClient, ada: Any) -> None:
    user = client.post("/users", json=ada).json()
    assert user == operator.get(f"/users/{user['id']}").json()
    assert user == operator.get(f"/users/{user['id'].upper()}").json()


def test_who_is_not_there_is_not_found(operator: TestClient) -> None:
    for unknown in ("00000000-0000-7000-8000-000000000000", "ada", "%00", "%ED%A0%80", "1" * 5000):
        assert told(operator.get(f"/users/{unknown}")) == (404, "not-found")


def test_users_are_listed_newest_first(client: TestClient, operator: TestClient) -> None:
    users = [client.post("/users", json={"name": "N", "email": f"n{n}@example.com"}).json() for n in range(3)]
    assert {"items": users[::-1], "next": None} == operator.get("/users").json()


@one_database
def test_an_answer_says_utf8_json(client: TestClient) -> None:
    answer = client.post("/users", json={"name": "Ægir", "email": "a@example.com"})
    assert answer.headers["content-type"] == "application/json"
    assert "Ægir" == json.loads(answer.content.decode())["name"]
