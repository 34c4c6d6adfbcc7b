"""What the operator is told about an event: where it is, and what became of it at each consumer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlmodel import Session, SQLModel
from starlette.testclient import TestClient

from events.clock import HeartbeatTicked
from events.envelope import Envelope, announce
from infra.database import event_log, leases, outbox, pauses, tables
from infra.database.engine import Database
from infra.database.leases import Holding
from infra.database.tables import table
from tests.envelopes import TRACEPARENT, ada
from tests.problems import told

LEASE = Holding("relay", "test", 60.0)
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def add(database: Database, *envelopes: Envelope, at: datetime | None = None) -> None:
    """Put events into the outbox."""
    with database.transaction() as session:
        for envelope in envelopes:
            outbox.add(session, envelope, available_at=at)


def publish(database: Database, *envelopes: Envelope) -> None:
    """Put events into the log, as the relay does."""
    add(database, *envelopes)
    with database.transaction() as session:
        leases.acquire(session, LEASE.name, LEASE.holder, LEASE.seconds)
        event_log.publish(session, outbox.due(session, 1000), lease=LEASE)


def keep(database: Database, model: type[SQLModel], **row: Any) -> None:
    """Insert one row."""
    with database.transaction() as session:
        session.connection().execute(insert(table(model)), row)


def subscribe(database: Database, consumer: str, *types: str, since: int = 0) -> None:
    """Record a consumer."""
    keep(database, tables.Subscription, consumer=consumer, types=types, since=since, description="", declared_at=NOW)


def delivered(database: Database, event: Envelope, consumer: str, state: str, **more: Any) -> None:
    """Record what became of an event at a consumer."""
    row = {"attempts": 1, "first_at": NOW, "handled_at": None, "error": None, **more}
    keep(database, tables.Inbox, event_id=event.id, consumer=consumer, state=state, **row)


def heartbeat() -> Envelope:
    """An event without a subject."""
    return announce(HeartbeatTicked(due_at=NOW), source="/scheduler")


def story(operator: TestClient, event: Envelope) -> dict[str, Any]:
    """What the gateway says of it."""
    found: dict[str, Any] = operator.get(f"/events/{event.id}").raise_for_status().json()
    return found


def states(told: dict[str, Any]) -> dict[str, str]:
    """The state at each consumer."""
    return {delivery["consumer"]: delivery["state"] for delivery in told["deliveries"]}


def test_an_event_is_shown_with_its_whole_envelope(operator: TestClient, database: Database) -> None:
    event = ada()
    publish(database, event)

    told = story(operator, event)
    assert told["data"] == event.data.model_dump(mode="json")
    assert (told["id"], told["type"], told["source"]) == (event.id, "user.registered", "/gateway")
    assert (told["subject"], told["correlation_id"], told["causation_id"]) == (
        event.subject, event.correlation_id, event.causation_id
    )  # fmt: skip
    assert ["user.registered"] == told["causation_types"]
    assert (told["state"], told["position"], told["traceparent"]) == ("published", 1, TRACEPARENT)
    assert datetime.fromisoformat(told["time"]) == event.time


def test_a_new_event_is_accepted_and_expected_at_each_consumer_of_its_type(
    operator: TestClient, database: Database
) -> None:
    subscribe(database, "welcome-email", "user.registered")
    subscribe(database, "activity-log", "#")
    subscribe(database, "other", "day.ended")
    event = ada()
    add(database, event)

    told = story(operator, event)
    assert (told["state"], told["position"], told["published_at"]) == ("accepted", None, None)
    assert states(told) == {"activity-log": "pending", "welcome-email": "pending"}


def test_of_an_event_that_was_erased_its_place_is_shown(operator: TestClient, database: Database) -> None:
    envelope = ada()
    subscribe(database, "welcome-email", "user.registered")
    publish(database, envelope)
    with database.transaction() as session:
        erased = update(table(tables.EventLog)).values(body="", subject=None, erased_at=NOW)
        session.connection().execute(erased)
    shown = operator.get(f"/events/{envelope.id}").json()
    assert ({}, None, "published", 1) == (shown["data"], shown["subject"], shown["state"], shown["position"])
    assert "2026-11-22T09:30:00Z" == shown["erased_at"]
    assert [("welcome-email", "erased")] == [(each["consumer"], each["state"]) for each in shown["deliveries"]]
    assert [envelope.id] == [each["id"] for each in operator.get("/events").json()["items"]]


def test_an_event_for_later_is_waiting(operator: TestClient, database: Database) -> None:
    event, later = heartbeat(), datetime.now(UTC) + timedelta(hours=1)
    add(database, event, at=later)
    told = story(operator, event)
    assert (told["state"], datetime.fromisoformat(told["available_at"])) == ("waiting", later)


def test_an_event_that_failed_too_often_is_set_aside_with_its_error(operator: TestClient, database: Database) -> None:
    event = heartbeat()
    add(database, event)
    with database.transaction() as session:
        (row,) = outbox.due(session, 1)
        outbox.blame(session, {row.sequence: "refused"}, set_aside_after=1)
    told = story(operator, event)
    assert (told["state"], told["attempts"], told["error"]) == ("set-aside", 1, "refused")


@pytest.mark.parametrize(
    ("kept", "error", "seen"),
    [
        ("retrying", "timeout", "retrying"),
        ("committed", None, "pending"),
        ("committed", "451", "retrying"),
        ("handled", None, "handled"),
        ("dead", "gave up", "dead"),
    ],
)
def test_a_delivery_is_shown_as_the_inbox_has_it(
    operator: TestClient, database: Database, kept: str, error: str | None, seen: str
) -> None:
    subscribe(database, "welcome-email", "user.registered")
    event = ada()
    publish(database, event)
    delivered(database, event, "welcome-email", kept, error=error, attempts=3, handled_at=NOW)

    (delivery,) = story(operator, event)["deliveries"]
    at = "2026-11-22T09:30:00Z"
    expected = {"consumer": "welcome-email", "state": seen, "attempts": 3, "error": error, "effects": []}
    assert delivery == expected | {"first_at": at, "handled_at": at}


@pytest.mark.parametrize(
    ("kept", "back_in", "shown"),
    [
        (None, None, "paused"),
        ("committed", None, "paused"),
        ("retrying", -1, "paused"),
        ("retrying", 60, "retrying"),
        ("handled", None, "handled"),
        ("dead", None, "dead"),
    ],
)
def test_a_delivery_that_waits_in_the_queue_of_a_paused_consumer_is_paused(
    operator: TestClient, database: Database, kept: str | None, back_in: float | None, shown: str
) -> None:
    """One whose copy waits in a retry tier waits for that first."""
    event = ada()
    subscribe(database, "welcome-email", event.type)
    publish(database, event)
    if kept is not None:
        retry_at = None if back_in is None else datetime.now(UTC) + timedelta(seconds=back_in)
        delivered(database, event, "welcome-email", kept, retry_at=retry_at, error="451" if back_in else None)
    with database.transaction() as session:
        pauses.pause(session, "welcome-email", pauses.OPERATOR, "maintenance")
    assert states(story(operator, event)) == {"welcome-email": shown}


def test_effects_are_shown_in_their_order_at_their_consumer(operator: TestClient, database: Database) -> None:
    event = ada()
    publish(database, event)
    for consumer in ("one", "two"):
        delivered(database, event, consumer, "committed")
    for ordinal, state in enumerate(["sent", "unknown", "intended"]):
        row = {"ordinal": ordinal, "state": state, "key": f"<{ordinal}@x>", "sent_at": NOW if state == "sent" else None}
        kept: dict[str, Any] = {"event_id": event.id, "consumer": "two", "kind": "mail", "arguments": {}, "error": None}
        keep(database, tables.Effect, **kept, owner="somebody", busy_until=datetime.now(UTC), **row)

    one, two = story(operator, event)["deliveries"]
    assert (one["effects"], [effect["state"] for effect in two["effects"]]) == ([], ["sent", "unknown", "intended"])
    sent = {"kind": "mail", "state": "sent", "key": "<0@x>", "sent_at": "2026-11-22T09:30:00Z", "error": None}
    assert two["effects"][0] == sent


def test_a_consumer_that_came_later_is_not_waited_for(operator: TestClient, database: Database) -> None:
    event = ada()
    publish(database, event)
    subscribe(database, "before", "#", since=0)
    subscribe(database, "after", "#", since=1)
    assert states(story(operator, event)) == {"before": "pending"}


def test_a_consumer_that_has_had_it_is_shown_though_it_is_not_recorded(
    operator: TestClient, database: Database
) -> None:
    event = ada()
    publish(database, event)
    delivered(database, event, "gone", "handled")
    assert states(story(operator, event)) == {"gone": "handled"}


def test_an_unknown_event_is_not_found(operator: TestClient) -> None:
    assert told(operator.get("/events/00000000-0000-7000-8000-000000000000")) == (404, "not-found")


def test_the_log_lists_published_events_only_newest_first(operator: TestClient, database: Database) -> None:
    published = [heartbeat() for _ in range(3)]
    publish(database, *published)
    add(database, heartbeat())
    items = operator.get("/events").json()["items"]
    assert [item["id"] for item in items] == [event.id for event in published[::-1]]
    assert [item["position"] for item in items] == [3, 2, 1]
    assert "data" not in items[0], "a page of large events would be huge"


def test_the_log_is_filtered_by_type_subject_and_time(operator: TestClient, database: Database) -> None:
    user, beat = ada(), heartbeat()
    publish(database, user, beat)
    with database.transaction() as session:
        _published_at(session, user, NOW - timedelta(days=1))
        _published_at(session, beat, NOW)

    def found(**query: str) -> list[str]:
        return [item["id"] for item in operator.get("/events", params=query).json()["items"]]

    assert found(type="user.registered") == [user.id]
    assert found(subject=str(user.subject)) == [user.id]
    assert found(since="2026-11-22T10:30:00+01:00") == [beat.id]
    assert found(since="2026-11-22T09:30:00.000001Z") == []
    assert found(type="user.registered", since="2026-11-22T09:30:00Z") == []


def test_a_filtered_log_is_walked_to_its_end(operator: TestClient, database: Database) -> None:
    beats = [heartbeat() for _ in range(3)]
    publish(database, beats[0], ada(), beats[1], ada(), beats[2])
    first = operator.get("/events?type=heartbeat.ticked&limit=2").json()
    second = operator.get("/events", params={"type": "heartbeat.ticked", "cursor": first["next"]}).json()
    assert [item["id"] for item in first["items"] + second["items"]] == [beat.id for beat in beats[::-1]]
    assert second["next"] is None


def _published_at(session: Session, event: Envelope, moment: datetime) -> None:
    log = table(tables.EventLog)
    session.connection().execute(update(log).where(log.c.event_id == event.id).values(published_at=moment))
