"""The heartbeat at the end of its road: each is written down, and a road that was closed is told of."""

from datetime import UTC, datetime, timedelta

from consumers.heartbeat import take_heartbeat
from events.clock import HeartbeatTicked
from events.envelope import announce, decode, encode
from events.health import HealthChanged
from infra import metrics
from infra.database import health, outbox
from infra.database.engine import Database
from infra.delivery import Deliveries
from infra.outcomes import Done, Incoming
from infra.settings import Settings, load
from infra.subscriptions import Subscription


def tick(database: Database, due: datetime) -> Incoming:
    """Deliver the heartbeat of this due time; gives the message."""
    message = Incoming(encode(announce(HeartbeatTicked(due_at=due), source="/scheduler")))
    deliver(database, message)
    return message


def deliver(database: Database, message: Incoming, **settings: float) -> None:
    handler = Deliveries(database, {}, provisions={Settings: load(**settings)}).handler(
        Subscription("heartbeat", ("heartbeat.ticked",), take_heartbeat)
    )
    assert [Done()] == handler([message])


def told(database: Database) -> list[HealthChanged]:
    with database.reading() as session:
        events = [decode(row.body.encode()).data for row in outbox.due(session, 10)]
    return [event for event in events if isinstance(event, HealthChanged)]


def test_a_heartbeat_is_written_down_with_its_lateness(database: Database) -> None:
    due = datetime.now(UTC) - timedelta(seconds=2)
    tick(database, due)
    with database.reading() as session:
        (row,) = health.everything(session)
    assert ("heartbeat", "ok", True) == (row.component, row.state, row.checked_at >= due)
    assert row.detail.startswith(f"the tick of {due:%H:%M:%S}Z came after 2.")
    assert 2 <= metrics.ROAD._value.get() < 12
    assert [] == told(database)


def test_a_road_that_was_closed_is_told_of_once_when_it_is_open_again(database: Database) -> None:
    """While it is closed nobody can tell; then all the ticks of that time come at once."""
    now = datetime.now(UTC)
    closed = now - timedelta(minutes=10)
    tick(database, closed)
    with database.transaction() as session:
        row = health.take(session, "heartbeat", now)
        row.since = row.checked_at = closed
        health.write(session, row)
    first, *_ = [tick(database, closed + timedelta(minutes=minute)) for minute in range(1, 11)]
    deliver(database, first)
    (change,) = told(database)
    assert ("heartbeat", "ok", closed) == (change.component, change.state, change.failing_since)
    assert now <= change.since


def test_heartbeats_may_be_as_far_apart_as_they_are_with_any_patience(database: Database) -> None:
    """Ten seconds between two are no outage, even where one would be told after a second."""
    now = datetime.now(UTC)
    with database.transaction() as session:
        health.take(session, "heartbeat", now - timedelta(seconds=20))
    message = Incoming(encode(announce(HeartbeatTicked(due_at=now), source="/scheduler")))
    deliver(database, message, health_patience=1)
    assert [] == told(database)
