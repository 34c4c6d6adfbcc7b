"""Queues that were made anew: remembered with the time, unless nothing can have waited in them."""

from datetime import UTC, datetime, timedelta

from infra.database import consumers, emptied
from infra.database.engine import Database
from infra.subscriptions import Subscription
from tests.eventlogs import fill

NOW = datetime.now(UTC)


def note(database: Database, **made: datetime) -> list[str]:
    with database.transaction() as session:
        return emptied.note(session, made)


def record(database: Database, name: str) -> None:
    with database.transaction() as session:
        consumers.declare(session, [Subscription(name, ("user.registered",), print)])


def test_a_queue_that_is_made_for_the_first_time_has_lost_nothing(database: Database) -> None:
    fill(database, 3)
    record(database, "sms")
    assert [] == note(database, sms=NOW)


def test_a_queue_that_is_made_after_an_event_for_its_consumer_may_have_lost_it(database: Database) -> None:
    record(database, "sms")
    fill(database, 1)
    assert ["dead-letters", "sms"] == note(database, **{"sms": NOW, "dead-letters": NOW})
    with database.reading() as session:
        assert {"sms": NOW, "dead-letters": NOW} == emptied.times(session)


def test_no_queue_has_lost_anything_while_there_was_no_event(database: Database) -> None:
    assert [] == note(database, tier=NOW)


def test_the_last_time_counts_in_whatever_order_it_is_told(database: Database) -> None:
    fill(database, 1)
    note(database, tier=NOW)
    note(database, tier=NOW + timedelta(seconds=9))
    note(database, tier=NOW)
    with database.reading() as session:
        assert {"tier": NOW + timedelta(seconds=9)} == emptied.times(session)
