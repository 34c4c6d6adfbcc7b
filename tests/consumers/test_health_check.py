"""The look of each minute: nothing is locked while it lasts, and a change is announced once."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from consumers.health_check import check_health
from events.clock import MinutePassed
from events.envelope import announce, decode, encode
from events.health import HealthChanged
from infra.database import health, outbox
from infra.database.engine import Database
from infra.delivery import Deliveries
from infra.outcomes import Done, Incoming
from infra.settings import Settings, load
from infra.subscriptions import Subscription
from infra.watching.checks import Checks
from infra.watching.findings import Finding


class Looking:
    """Finds what it is told."""

    def __init__(self) -> None:
        self.findings = [Finding("smtp", True, "answers")]
        #: A look waits for it.
        self.may_end = threading.Event()
        self.may_end.set()
        self.begun = threading.Event()

    def look(self) -> list[Finding]:
        self.begun.set()
        assert self.may_end.wait(10)
        return list(self.findings)


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Looking]:
    found = Looking()
    monkeypatch.setattr(Checks, "__init__", lambda _: None)
    monkeypatch.setattr(Checks, "look", lambda _: found.look())
    yield found
    found.may_end.set()


def minute() -> Incoming:
    return Incoming(encode(announce(MinutePassed(due_at=datetime.now(UTC)), source="/scheduler")))


def deliver(database: Database, message: Incoming) -> None:
    made = {Settings: load(health_patience=0.001), Checks: Checks.__new__(Checks)}
    subscription = Subscription("health-check", ("minute.passed",), check_health)
    assert [Done()] == Deliveries(database, {}, provisions=made).handler(subscription)([message])


def told(database: Database) -> list[tuple[str, str]]:
    with database.reading() as session:
        events = [decode(row.body.encode()).data for row in outbox.due(session, 10)]
    return [(event.component, event.state) for event in events if isinstance(event, HealthChanged)]


def test_a_change_is_announced_in_the_commit_that_writes_it_down_and_once(database: Database, looking: Looking) -> None:
    deliver(database, minute())
    looking.findings = [Finding("smtp", False, "gone")]
    deliver(database, minute())
    last = minute()
    for _ in range(3):  # redelivered
        deliver(database, last)
    assert [("smtp", "failing")] == told(database)
    with database.reading() as session:
        assert [("smtp", "failing", "gone")] == [
            (row.component, row.state, row.detail) for row in health.everything(session)
        ]


def test_a_look_that_hangs_holds_no_transaction(database: Database, looking: Looking) -> None:
    looking.may_end.clear()
    thread = threading.Thread(target=deliver, args=(database, minute()))
    thread.start()
    assert looking.begun.wait(10)
    with database.transaction() as session:  # on SQLite it would wait for the other's end
        health.take(session, "other", datetime.now(UTC))
    looking.may_end.set()
    thread.join(10)
    with database.reading() as session:
        assert ["other", "smtp"] == [row.component for row in health.everything(session)]


def test_a_heartbeat_that_does_not_come_is_found_by_the_look(database: Database, looking: Looking) -> None:
    with database.transaction() as session:
        last = health.take(session, "heartbeat", datetime.now(UTC) - timedelta(minutes=5)).checked_at
    for _ in range(3):
        deliver(database, minute())
    assert [("heartbeat", "failing")] == told(database)
    with database.reading() as session:
        row = health.find(session, "heartbeat")
    assert row is not None
    assert row.detail.startswith("none has come since ")
    assert last == row.checked_at, "when it was seen last, by which its consumer tells how long it was silent"
