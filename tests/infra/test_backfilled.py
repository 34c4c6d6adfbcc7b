"""An event of the past that a backfill sends is new to its consumer, and says that it is told anew."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from events.clock import DayEnded
from events.envelope import Envelope, announce, encode
from infra.database.engine import Database
from infra.delivery import Deliveries
from infra.outcomes import Done, Incoming, Park, RetryLater
from infra.rabbitmq.dead_letters import dead_message
from infra.rabbitmq.messages import Message, past_message
from infra.rabbitmq.retries import retry_message
from infra.subscriptions import Batch, Context, Retry, Subscription
from tests.infra.rabbitmq.test_deliveries import delivery_of

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=30)
MARK = "x-backfill"


def old() -> Envelope:
    return replace(announce(DayEnded(day=date(2026, 1, 1)), source="/test"), time=LONG_AGO)


def backfilled(envelope: Envelope, **signs: Any) -> Incoming:
    return Incoming(encode(envelope), backfilled_at=NOW, **signs)


def sent() -> Message:
    envelope = old()
    return past_message("tested", envelope.id, envelope.type, encode(envelope), sent_at=NOW)


def test_a_handler_is_told_that_the_event_is_of_the_past(database: Database) -> None:
    seen = []

    def handle(event: DayEnded, context: Context) -> None:
        seen.append(context.is_replay)

    handler = Deliveries(database, {}).handler(Subscription("tested", ("day.ended",), handle))
    assert [Done(), Done()] == handler([backfilled(old()), Incoming(encode(old()))])
    assert [True, False] == seen


def test_events_of_the_past_and_new_ones_are_one_batch(database: Database) -> None:
    seen = []

    def handle(batch: Sequence[Context]) -> None:
        seen.append([one.is_replay for one in batch])

    handler = Deliveries(database, {}).handler(Subscription("tested", ("day.ended",), handle, batch=Batch()))
    assert [Done()] * 3 == handler([backfilled(old()), Incoming(encode(old())), backfilled(old())])
    assert [[True, False, True]] == seen


@pytest.mark.parametrize(
    ("incoming", "outcome"), [(backfilled(old()), RetryLater), (Incoming(encode(old())), Park)], ids=["past", "live"]
)
def test_the_age_of_an_event_of_the_past_counts_from_its_sending(
    database: Database, incoming: Incoming, outcome: type
) -> None:
    def fail(event: DayEnded, context: Context) -> None:
        raise ValueError("no")

    subscription = Subscription("tested", ("day.ended",), fail, retry=Retry(delays=(5,), max_age=3600))
    assert [outcome] == [type(each) for each in Deliveries(database, {}).handler(subscription)([incoming])]


def test_the_message_is_for_one_queue_alone_and_says_when_it_was_sent() -> None:
    message = sent()
    assert ("", "tested", "day.ended") == (message.exchange, message.routing_key, message.type)
    assert {"x-attempt": 1, MARK: NOW.isoformat()} == message.headers


def test_copies_of_an_event_of_the_past_keep_the_mark() -> None:
    retried = retry_message(sent(), consumer="tested", delay=5, attempt=1, error="")
    dead = dead_message(sent(), Park("handler-error", ""), consumer="tested", attempt=6)
    assert [NOW.isoformat()] * 2 == [retried.headers[MARK], dead.headers[MARK]]


@pytest.mark.parametrize(
    ("header", "moment"),
    [
        ("2026-01-01T00:00:00+00:00", datetime(2026, 1, 1, tzinfo=UTC)),
        (None, None),
        (True, None),
        ("soon", None),
        ("2026-01-01T00:00:00", None),
        (7, None),
    ],
)
def test_only_a_moment_with_its_zone_marks_an_event_of_the_past(header: Any, moment: datetime | None) -> None:
    assert moment == delivery_of(headers={MARK: header}).incoming().backfilled_at
