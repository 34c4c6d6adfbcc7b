"""Events that operators announce over HTTP: checked as a consumer would, now or later, moved and cancelled."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from events.attributes import write_time
from events.envelope import Envelope, decode
from infra.database import audit, outbox
from infra.database.engine import Database
from tests.gateway.test_events import heartbeat, publish
from tests.problems import told

UNKNOWN = "/events/00000000-0000-7000-8000-000000000000"
ADA = {"user_id": str(uuid4()), "name": "Ada", "email": "ada@example.com"}
HOUR = timedelta(hours=1)
ISO = "2026-11-26T12:00:00Z"


def announce(operator: TestClient, **more: Any) -> Any:
    """Post one; gives the whole answer."""
    return operator.post("/events", json={"type": "user.registered", "data": ADA, **more})


def later(operator: TestClient, **more: Any) -> str:
    """The id of one that waits."""
    found: str = announce(operator, **{"delay": "1h", **more}).raise_for_status().json()["id"]
    return found


def kept(database: Database, event_id: str) -> tuple[Envelope, datetime]:
    """The event of the outbox, and until when it waits."""
    with database.reading() as session:
        row = outbox.find(session, event_id)
    assert row is not None
    return decode(row.body.encode()), row.available_at


def release(database: Database, event_id: str) -> None:
    """What the relay does before it publishes an event whose time has come."""
    with database.transaction() as session:
        row = outbox.find(session, event_id)
        assert row is not None
        assert [row.sequence] == list(outbox.release(session, [row.sequence or 0]))


def deeds(database: Database) -> list[tuple[str, str, str, str]]:
    """The audit, the newest first."""
    with database.reading() as session:
        rows = audit.page(session, audit.Filter(), before=None, limit=100)
    return [(row.who, row.action, row.target, row.why) for row in rows]


def refused(answer: Any) -> tuple[int, str, str]:
    """Status, first field and its message."""
    error = answer.json()["errors"][0]
    return answer.status_code, error["field"], error["message"]


def test_an_event_of_any_type_is_accepted_with_the_place_of_its_story(operator: TestClient, database: Database) -> None:
    answer = announce(operator)
    made = answer.json()
    assert (202, f"/events/{made['id']}") == (answer.status_code, answer.headers["location"])
    assert f'</events/{made["id"]}>; rel="monitor"' == answer.headers["link"]
    assert {"id": made["id"], "type": "user.registered", "state": "accepted", "available_at": None} == made
    envelope, at = kept(database, made["id"])
    assert ("/gateway", ADA["user_id"], outbox.AT_ONCE) == (envelope.source, envelope.subject, at)


def test_an_event_for_later_waits_and_has_the_time_at_which_it_happens(
    operator: TestClient, database: Database
) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + HOUR
    made = announce(operator, available_at=at.isoformat()).json()
    assert ("waiting", at) == (made["state"], datetime.fromisoformat(made["available_at"]))
    envelope, until = kept(database, made["id"])
    assert (at, at) == (envelope.time, until)
    assert "waiting" == operator.get(f"/events/{made['id']}").json()["state"]


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [(90, 90), (0.5, 0.5), ("30s", 30), ("10m", 600), ("2h", 7200), ("7d", 604_800), ("1w", 604_800)],
)
def test_a_delay_is_seconds_or_a_number_with_its_unit(
    operator: TestClient, database: Database, delay: object, seconds: float
) -> None:
    before = datetime.now(UTC)
    _, at = kept(database, later(operator, delay=delay))
    assert before + timedelta(seconds=seconds) <= at <= datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize("when", [{"available_at": "2020-01-01T00:00:00Z"}, {"delay": 0}, {}])
def test_the_past_means_at_once(operator: TestClient, when: dict[str, Any]) -> None:
    made = announce(operator, **when).json()
    assert ("accepted", None) == (made["state"], made["available_at"])


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"type": "no.such"}, "type", "This program knows no events of this type."),
        ({"data": {**ADA, "email": "nobody"}}, "data.email", "This contains a character that is not allowed here."),
        ({"data": {"name": "Ada", "email": "a@b.c"}}, "data.user_id", "This is required."),
        ({"data": {**ADA, "emial": "x"}}, "data.emial", "There is no such field; is it a typing error?"),
        ({"data": []}, "data", "This must be a JSON object."),
        ({"subject": "somebody"}, "subject", "Events of this type have theirs from data.user_id: leave this out."),
        ({"delay": -1}, "delay", "Seconds from 0 up, or a text such as 30s, 10m, 2h or 7d."),
        ({"delay": "soon"}, "delay", "Seconds from 0 up, or a text such as 30s, 10m, 2h or 7d."),
        ({"delay": "53w"}, "delay", "At most a year ahead: 366 days."),
        ({"delay": 1e300}, "delay", "At most a year ahead: 366 days."),
        ({"available_at": "2999-01-01T00:00:00Z"}, "available_at", "At most a year ahead: 366 days."),
        ({"available_at": "2026-11-26T12:00:00"}, "available_at", "Input should have timezone info"),
        ({"available_at": ISO, "delay": 5}, "delay", "Give available_at or delay, not both."),
        ({"at": ISO}, "at", "There is no such field; is it a typing error?"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_announced(
    operator: TestClient, database: Database, body: dict[str, Any], field: str, message: str
) -> None:
    assert (422, field, message) == refused(announce(operator, **body))
    with database.reading() as session:
        assert (0, []) == (outbox.backlog(session).rows, deeds(database))


def test_an_event_is_as_large_as_any_body_at_most(operator: TestClient) -> None:
    assert (413, "body-too-large") == told(announce(operator, data={**ADA, "name": "x" * 65 * 1024}))


def test_an_event_with_the_same_key_is_announced_once(operator: TestClient, database: Database) -> None:
    body = {"type": "user.registered", "data": ADA, "delay": 60}
    first, second = (operator.post("/events", json=body, headers={"idempotency-key": "k"}) for _ in range(2))
    assert (first.json(), "true") == (second.json(), second.headers["idempotency-replayed"])
    assert 1 == len(deeds(database))


def test_a_type_without_a_subject_of_its_own_takes_one(operator: TestClient, database: Database) -> None:
    beat = {"type": "heartbeat.ticked", "data": {"due_at": ISO}}
    made = operator.post("/events", json={**beat, "subject": "clock"}).json()
    assert "clock" == kept(database, made["id"])[0].subject
    assert "subject" == refused(operator.post("/events", json={**beat, "subject": "a\nb"}))[1]


def test_what_waits_is_moved_with_its_time(operator: TestClient, database: Database) -> None:
    event = later(operator)
    at = datetime.now(UTC).replace(microsecond=0) + 2 * HOUR
    moved = operator.patch(f"/events/{event}", json={"available_at": at.isoformat(), "why": "too early"})
    assert (200, "waiting", at) == (
        moved.status_code, moved.json()["state"], datetime.fromisoformat(moved.json()["available_at"])
    )  # fmt: skip
    envelope, until = kept(database, event)
    assert (at, at, ADA["email"]) == (envelope.time, until, envelope.data.model_dump()["email"])
    assert ("operator", "event.move", event, "too early") == deeds(database)[0]


def test_what_is_moved_to_now_goes_at_once(operator: TestClient, database: Database) -> None:
    event, before = later(operator), datetime.now(UTC)
    moved = operator.patch(f"/events/{event}", json={"delay": 0}).json()
    assert ("accepted", None) == (moved["state"], moved["available_at"])
    envelope, until = kept(database, event)
    assert before <= envelope.time <= datetime.now(UTC)
    assert outbox.AT_ONCE == until


def test_a_move_says_when(operator: TestClient) -> None:
    event = later(operator)
    assert (422, "", "Give available_at or delay.") == refused(operator.patch(f"/events/{event}", json={"why": "x"}))
    assert "delay" == refused(operator.patch(f"/events/{event}", json={"delay": "2w", "available_at": ISO}))[1]
    assert "available_at" == refused(operator.patch(f"/events/{event}", json={"available_at": "2999-01-01T00:00Z"}))[1]


def test_a_cancelled_event_is_gone_and_its_place_says_who_did_it_and_why(
    operator: TestClient, database: Database
) -> None:
    event = later(operator)
    cancelled = operator.delete(f"/events/{event}?why=a%20mistake", headers={"tidings-operator": "grace"})
    assert (204, b"") == (cancelled.status_code, cancelled.content)
    assert ("grace", "event.cancel", event, "a mistake") == deeds(database)[0]
    for answer in (
        operator.get(f"/events/{event}"),
        operator.delete(f"/events/{event}"),
        operator.patch(f"/events/{event}", json={"delay": 60}),
    ):
        assert (410, "gone") == told(answer)
        assert answer.json()["detail"].endswith("by grace: a mistake.")
    with database.reading() as session:
        assert (None, None) == (outbox.find(session, event), outbox.next_at(session))


def test_what_never_was_is_not_found(operator: TestClient) -> None:
    assert (404, "not-found") == told(operator.delete(UNKNOWN)) == told(operator.patch(UNKNOWN, json={"delay": 60}))


def test_what_is_published_or_about_to_be_is_neither_moved_nor_cancelled(
    operator: TestClient, database: Database
) -> None:
    at_once, coming, done = announce(operator).json()["id"], later(operator, delay=1e-3), heartbeat()
    release(database, coming)
    for event, words in ((at_once, "at once"), (coming, "has come")):
        for answer in (operator.delete(f"/events/{event}"), operator.patch(f"/events/{event}", json={"delay": 60})):
            assert (409, "conflict") == told(answer)
            assert words in answer.json()["detail"]
    publish(database, done)
    assert "was published at" in operator.delete(f"/events/{done.id}").json()["detail"]


def waiting(operator: TestClient, **query: Any) -> list[str]:
    """The ids of a list."""
    answer = operator.get("/events", params={"state": "waiting", **query}).raise_for_status()
    return [item["id"] for item in answer.json()["items"]]


def test_what_waits_is_listed_next_first_and_walked_in_pages(operator: TestClient) -> None:
    delays = [300, 60, 120, 60, 240]
    events = [later(operator, delay=delay) for delay in delays]
    assert [events[1], events[3], events[2], events[4], events[0]] == waiting(operator)
    first = operator.get("/events?state=waiting&limit=2").json()
    second = operator.get("/events", params={"state": "waiting", "limit": 3, "cursor": first["next"]}).json()
    assert waiting(operator) == [item["id"] for item in first["items"] + second["items"]]
    assert second["next"] is None


def test_what_waits_is_filtered_by_type_subject_and_when_it_is_due(operator: TestClient) -> None:
    start = datetime.now(UTC)
    soon, late = later(operator, delay=60), later(operator, delay=600)
    beat = operator.post(
        "/events", json={"type": "heartbeat.ticked", "data": {"due_at": write_time(start)}, "delay": 60}
    ).json()["id"]
    middle = (start + timedelta(seconds=300)).isoformat()
    assert [soon, late] == waiting(operator, type="user.registered")
    assert [soon, late] == waiting(operator, subject=ADA["user_id"])
    assert [late] == waiting(operator, since=middle)
    assert [soon, beat] == waiting(operator, until=middle)
    assert [] == waiting(operator, since=middle, type="heartbeat.ticked")


def test_each_state_has_its_list(operator: TestClient, database: Database) -> None:
    coming, accepted, aside, done = later(operator), announce(operator).json()["id"], heartbeat(), heartbeat()
    with database.transaction() as session:
        outbox.add(session, aside)
        row = outbox.find(session, aside.id)
        assert row is not None
        outbox.blame(session, {row.sequence or 0: "refused"}, set_aside_after=1)
    lists = {state: waiting(operator, state=state) for state in ("accepted", "waiting", "set-aside", "published")}
    assert {"accepted": [accepted], "waiting": [coming], "set-aside": [aside.id], "published": []} == lists
    assert "refused" == operator.get("/events?state=set-aside").json()["items"][0]["error"]
    assert [] == waiting(operator, state="accepted", until="2020-01-01T00:00:00Z")
    publish(database, done)
    assert {done.id, accepted} == set(waiting(operator, state="published"))
    assert (422, "invalid") == told(operator.get("/events?state=lost"))


def test_a_cursor_of_one_list_is_not_taken_by_the_other(operator: TestClient) -> None:
    for _ in range(2):
        later(operator)
    cursor = operator.get("/events?state=waiting&limit=1").json()["next"]
    assert (422, "invalid") == told(operator.get("/events", params={"cursor": cursor}))
