"""Dead letters over HTTP: found, grouped, replayed, discarded, edited; and every way to ask for it wrongly."""

from base64 import b64decode
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import select
from starlette.testclient import TestClient
from uuid_utils.compat import uuid7

from infra.database.engine import Database
from infra.database.recovery_tables import Audit, Operation
from tests import envelopes, given_up
from tests.problems import told, wrong

DATA = {"user_id": str(uuid4()), "name": "Grace Hopper", "email": "grace@example.com"}

#: For what the database has no part in.
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def consumers(database: Database) -> None:
    """The consumers whose letters these are."""
    given_up.declare(database, given_up.SMS, "welcome-email")


def found(operator: TestClient, path: str = "/dead-letters", **query: Any) -> list[str]:
    """Ids of the letters on one page, or samples of the groups."""
    items = operator.get(path, params=query).raise_for_status().json()["items"]
    return [item.get("id") or item["sample"] for item in items]


def various(database: Database) -> list[str]:
    """Four letters of two consumers and three causes, in the order in which they were kept; their ids."""
    first, second, third = (given_up.registered() for _ in range(3))
    other = replace(given_up.letter(third, 3), exception="builtins.KeyError", frame="consumers/sms.py:40 in send")
    return given_up.keep(
        database,
        [given_up.letter(first, 1), given_up.letter(second, 2, "welcome-email"), other, given_up.undecodable(b"\x00")],
    )


def deeds(database: Database) -> list[tuple[str, str, str]]:
    with database.reading() as session:
        return [(row.who, row.action, row.why) for row in session.exec(select(Audit))]


def test_letters_are_listed_newest_first_with_all_that_is_known(operator: TestClient, database: Database) -> None:
    envelope = given_up.registered()
    older, newer = given_up.keep(database, [given_up.letter(envelope), given_up.undecodable(b"[]")])
    assert [newer, older] == found(operator)
    assert {
        "id": older,
        "consumer": "sms",
        "state": "waiting",
        "event_id": envelope.id,
        "type": "user.registered",
        "subject": envelope.subject,
        "reason": "handler-error",
        "exception": "consumers.sms.NoCredit",
        "error": "NoCredit: top up",
        "frame": "consumers/sms.py:12 in send",
        "attempts": 6,
        "replays": 0,
        "first_failed_at": "2026-11-22T08:30:00Z",
        "last_failed_at": "2026-11-22T09:30:00Z",
        "version": "0.1.0",
        "operation_id": None,
        "replayed_at": None,
        "closed_at": None,
        "closed_with": None,
    } == {
        name: value for name, value in operator.get("/dead-letters").json()["items"][1].items() if name != "fingerprint"
    }


def test_letters_are_filtered_by_every_field(operator: TestClient, database: Database) -> None:
    sms, mail, key_error, bytes_ = various(database)
    row = given_up.find(database, sms)
    queries: list[tuple[dict[str, Any], list[str]]] = [
        ({"consumer": "sms"}, [bytes_, key_error, sms]),
        ({"type": "user.registered"}, [key_error, mail, sms]),
        ({"reason": "not-json"}, [bytes_]),
        ({"exception": "KeyError"}, [key_error]),
        ({"exception": "builtins.KeyError"}, [key_error]),
        ({"exception": "Error"}, []),
        ({"subject": row.subject}, [sms]),
        ({"event_id": row.event_id}, [sms]),
        ({"fingerprint": row.fingerprint}, [sms]),
        ({"since": "2026-11-22T09:32:00Z"}, [key_error, mail]),
        ({"until": "2026-11-22T11:32:00+02:00"}, [bytes_, sms]),
        ({"since": "2026-11-22T09:31:00Z", "until": "2026-11-22T09:33:00Z"}, [mail, sms]),
        ({"consumer": "sms", "reason": "handler-error"}, [key_error, sms]),
    ]
    for query, expected in queries:
        assert expected == found(operator, **query), query
        assert sorted(expected) == sorted(found(operator, "/dead-letters/groups", **query)), query


def test_without_a_state_what_is_closed_is_left_out(operator: TestClient, database: Database) -> None:
    one, other = given_up.some(database, 2)
    operator.delete(f"/dead-letters/{one}?why=old").raise_for_status()
    assert [other] == found(operator)
    assert [one] == found(operator, state="discarded")
    assert [other, one] == found(operator, state=["discarded", "waiting"])
    assert [other, one] == found(operator, state="all")


def test_letters_and_groups_are_walked_in_pages(operator: TestClient, database: Database) -> None:
    various(database)
    given_up.some(database, 3, "welcome-email")
    for path in ("/dead-letters", "/dead-letters/groups"):
        whole, seen, query = found(operator, path), [], {"limit": "2"}
        while True:
            page = operator.get(path, params=query).raise_for_status().json()
            seen += [item.get("id") or item["sample"] for item in page["items"]]
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        assert whole == seen
        assert len(whole) > 2


def test_failures_with_the_same_cause_are_one_group(operator: TestClient, database: Database) -> None:
    ids = given_up.some(database, 3)
    (group,) = operator.get("/dead-letters/groups").json()["items"]
    row = given_up.find(database, ids[0])
    assert {
        "fingerprint": row.fingerprint,
        "consumer": "sms",
        "reason": "handler-error",
        "exception": "consumers.sms.NoCredit",
        "frame": "consumers/sms.py:12 in send",
        "count": 3,
        "first_at": "2026-11-22T08:30:00Z",
        "last_at": "2026-11-22T09:32:00Z",
        "sample": ids[2],
    } == group


def test_one_letter_is_shown_with_its_message(operator: TestClient, database: Database) -> None:
    envelope = envelopes.ada()
    event, raw = given_up.keep(database, [given_up.letter(envelope), given_up.undecodable(b"\xff\x00")])
    answer = operator.get(f"/dead-letters/{event}")
    body = answer.json()
    assert (envelope.data.model_dump(mode="json"), envelope.id) == (body["data"], body["envelope"]["id"])
    assert f'</events/{envelope.id}>; rel="related"' == answer.headers["link"]
    shown = operator.get(f"/dead-letters/{raw}")
    assert (b"\xff\x00", 2, None) == (b64decode(shown.json()["body"]), shown.json()["size"], shown.json()["data"])
    assert "link" not in shown.headers


def test_a_letter_is_replayed_once_per_key(operator: TestClient, database: Database) -> None:
    (one,) = given_up.some(database, 1)
    headers = {"idempotency-key": "k", "tidings-operator": "Ada"}
    answers = [operator.post(f"/dead-letters/{one}/replay", json={"why": "go"}, headers=headers) for _ in range(2)]
    assert [(202, "replaying", f"/dead-letters/{one}")] * 2 == [
        (each.status_code, each.json()["state"], each.headers["location"]) for each in answers
    ]
    assert [one] == given_up.relay(database)
    assert [("Ada", "dead-letter.replay", "go")] == deeds(database)


def test_a_replay_needs_no_body(operator: TestClient, database: Database) -> None:
    (one,) = given_up.some(database, 1)
    assert 202 == operator.post(f"/dead-letters/{one}/replay").status_code
    assert [("operator", "dead-letter.replay", "")] == deeds(database)


def test_many_are_replayed_by_an_operation(operator: TestClient, database: Database) -> None:
    given_up.some(database, 3)
    given_up.some(database, 1, "welcome-email")
    terms = {"rate": 10, "canary": 1, "stop_at_failure_ratio": 0.5, "force": False}
    answer = operator.post("/dead-letters/replay", json={"consumer": "sms", "why": "topped up", **terms})
    begun = answer.json()
    assert (202, f"/operations/{begun['id']}") == (answer.status_code, answer.headers["location"])
    assert ("running", 3, 0, 0.0) == (begun["state"], begun["total"], begun["sent"], begun["progress"])
    assert {"filter": {"consumer": "sms"}, **terms} == begun["request"]
    assert begun == operator.get(answer.headers["location"]).json()
    assert 3 == len(given_up.in_state(database, "queued"))
    assert [("operator", "dead-letters.replay", "topped up")] == deeds(database)


def test_all_are_replayed_when_it_is_said(operator: TestClient, database: Database) -> None:
    various(database)
    assert 4 == operator.post("/dead-letters/replay", json={"all": True}).json()["total"]


def test_a_dry_run_counts_and_changes_nothing(operator: TestClient, database: Database) -> None:
    first, *_ = given_up.some(database, 3)
    given_up.some(database, 2, "gone")
    given_up.handle_elsewhere(database, first)
    answer = operator.post("/dead-letters/replay", json={"all": True, "dry_run": True})
    counted = {"total": 5, "would_run": 2, "already_handled": 1, "effects": 0, "by_consumer": {"sms": 2}}
    assert (200, counted) == (answer.status_code, answer.json())
    assert 5 == len(given_up.in_state(database, "waiting"))
    assert [] == deeds(database)
    with database.reading() as session:
        assert session.exec(select(Operation)).all() == []


def test_a_letter_is_discarded_with_a_reason(operator: TestClient, database: Database) -> None:
    (one,) = given_up.some(database, 1)
    answer = operator.delete(f"/dead-letters/{one}?why=a+test+account", headers={"tidings-operator": "Ada"})
    assert (200, "discarded", "a test account") == (
        answer.status_code,
        answer.json()["state"],
        answer.json()["closed_with"],
    )
    assert [("Ada", "dead-letter.discard", "a test account")] == deeds(database)
    assert (409, "conflict") == told(operator.delete(f"/dead-letters/{one}?why=again"))


def test_an_edit_is_a_new_event_in_the_letters_place(operator: TestClient, database: Database) -> None:
    (one,) = given_up.some(database, 1)
    answer = operator.post(f"/dead-letters/{one}/edit", json={"data": DATA, "why": "typing error"})
    made = answer.json()["event_id"]
    assert (201, f"/events/{made}") == (answer.status_code, answer.headers["location"])
    old = given_up.find(database, one).event_id
    story = operator.get(f"/events/{made}").json()
    assert (old, old, DATA) == (story["replay_of"], story["causation_id"], story["data"])
    shown = operator.get(f"/dead-letters/{one}")
    assert "superseded" == shown.json()["state"]
    assert f'</events/{made}>; rel="successor-version"' in shown.headers["link"]
    again = operator.post(f"/dead-letters/{one}/edit", json={"data": DATA, "why": "typing error"})
    assert (409, "conflict") == told(again)


def test_an_edit_that_does_not_fit_names_the_fields_and_quotes_nothing(
    operator: TestClient, database: Database
) -> None:
    (one,) = given_up.some(database, 1)
    for data, fields in [
        ({**DATA, "email": "hunter2"}, ["data.email"]),
        ({"name": "hunter2"}, ["data.user_id", "data.email"]),
        ({**DATA, "nmae": "hunter2"}, ["data.nmae"]),
        ({**DATA, "user_id": "hunter2"}, ["data.user_id"]),
    ]:
        answer = operator.post(f"/dead-letters/{one}/edit", json={"data": data, "why": "x"})
        assert fields == wrong(answer)
        assert "hunter2" not in answer.text


@one_database
@pytest.mark.parametrize("bad", ["01a217f3-676c-713a-8fdf-82ae9fe69443", "x", "%00", "0", "é"])
def test_an_id_that_nothing_has_is_not_there(operator: TestClient, bad: str) -> None:
    answers = [
        operator.get(f"/dead-letters/{bad}"),
        operator.delete(f"/dead-letters/{bad}?why=x"),
        operator.post(f"/dead-letters/{bad}/replay", json={}),
        operator.post(f"/dead-letters/{bad}/edit", json={"data": DATA, "why": "x"}),
    ]
    assert {(404, "not-found")} == {told(answer) for answer in answers}


@one_database
def test_a_letter_that_is_replayed_already_is_refused(operator: TestClient, database: Database) -> None:
    one, other = given_up.some(database, 2)
    operator.post(f"/dead-letters/{one}/replay")
    operator.post("/dead-letters/replay", json={"consumer": "sms"})
    for each in (one, other):
        assert (409, "conflict") == told(operator.post(f"/dead-letters/{each}/replay"))
        assert (409, "conflict") == told(operator.post(f"/dead-letters/{each}/edit", json={"data": DATA, "why": "x"}))


@one_database
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""), ({"all": True, "consumer": "sms"}, ""), ({"all": False}, ""), ({"all": True, "rate": 0}, "rate"),
        ({"all": True, "rate": 1e9}, "rate"), ({"all": True, "rate": "fast"}, "rate"),
        ({"all": True, "canary": 0}, "canary"),
        ({"all": True, "canary": 1.5}, "canary"), ({"all": True, "stop_at_failure_ratio": 2}, "stop_at_failure_ratio"),
        ({"all": True, "stop_at_failure_ratio": 0}, "stop_at_failure_ratio"), ({"reason": "bad-luck"}, "reason"),
        ({"since": "yesterday"}, "since"), ({"since": "2026-11-22T09:30:00"}, "since"),
        ({"since": "2026-11-22T09:30:00Z", "until": "2026-11-22T09:30:00Z"}, ""), ({"consumer": ""}, "consumer"),
        ({"consumer": "a\x00"}, "consumer"), ({"all": True, "why": "x" * 501}, "why"),
        ({"all": True, "wyh": "x"}, "wyh"),
        ({"state": ["waiting"]}, "state"),
    ],
)  # fmt: skip
def test_a_replay_of_many_that_makes_no_sense_is_refused(
    operator: TestClient, database: Database, body: dict[str, Any], field: str
) -> None:
    given_up.some(database, 1)
    assert [field] == wrong(operator.post("/dead-letters/replay", json=body))
    assert [] == given_up.in_state(database, "queued")


@one_database
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("reason=bad-luck", "reason"), ("state=lost", "state.0"), ("typ=x", "typ"), ("since=now", "since"),
        ("since=2026-11-22T09:30:00Z&until=2026-11-21T09:30:00Z", ""), ("cursor=x", "cursor"), ("limit=0", "limit"),
        ("fingerprint=", "fingerprint"), ("consumer=%00", "consumer"),
    ],
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_refused(operator: TestClient, query: str, field: str) -> None:
    for path in ("/dead-letters", "/dead-letters/groups"):
        assert field in wrong(operator.get(f"{path}?{query}"))


@one_database
def test_a_reason_is_asked_for_where_something_is_closed(operator: TestClient, database: Database) -> None:
    (one,) = given_up.some(database, 1)
    assert ["why"] == wrong(operator.delete(f"/dead-letters/{one}"))
    assert ["why"] == wrong(operator.delete(f"/dead-letters/{one}?why={'x' * 501}"))
    assert ["why"] == wrong(operator.post(f"/dead-letters/{one}/edit", json={"data": DATA}))
    assert ["data"] == wrong(operator.post(f"/dead-letters/{one}/edit", json={"data": [], "why": "x"}))
    assert ["why"] == wrong(operator.post(f"/dead-letters/{one}/replay", json={"why": "a\nb"}))


@one_database
@pytest.mark.parametrize("name", ["", "x" * 101, "Ada\tL", "Ädä".encode()])
def test_an_operators_name_is_printable_ascii(operator: TestClient, database: Database, name: Any) -> None:
    (one,) = given_up.some(database, 1)
    answer = operator.post(f"/dead-letters/{one}/replay", headers={"tidings-operator": name})
    assert ["tidings-operator"] == wrong(answer)


@one_database
def test_dead_letters_are_for_the_operator_alone(client: TestClient) -> None:
    for method, path in [
        ("GET", "/dead-letters"), ("GET", "/dead-letters/groups"), ("POST", "/dead-letters/replay"),
        ("DELETE", f"/dead-letters/{uuid7()}?why=x"), ("GET", "/operations"), ("GET", "/audit"),
        ("POST", f"/operations/{uuid7()}/stop"),
    ]:  # fmt: skip
        assert 401 == client.request(method, path, json={"all": True}).status_code, path
