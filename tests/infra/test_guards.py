"""Guards: an event that its consumer does not want is settled without the handler, and says so."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event as listen
from sqlalchemy import insert, select

from events.clock import DayEnded
from events.envelope import Envelope, Event, announce, encode
from infra.courses import failed
from infra.database import inbox, settling
from infra.database.engine import Database
from infra.database.tables import EventLog, Inbox, table
from infra.delivery import Deliveries
from infra.errors import ConfigurationError
from infra.outcomes import Done, Incoming, Outcome, RetryLater
from infra.recovery import deliveries
from infra.subscriptions import Batch, Context, Guard, Subscription, forget, recorded, subscribe

FIRST = date(2026, 1, 1)
INBOX = table(Inbox)
FILTERED = Done(filtered=True)


class Consumer:
    """Takes the events that its guard lets through."""

    def __init__(self, database: Database, where: Guard, batch: Batch | None = None) -> None:
        self.taken: list[Event] = []
        handler = self._batch if batch else self._one
        self._subscription = Subscription("tested", ("day.ended",), handler, where=where, batch=batch)
        self._deliver = Deliveries(database, {}).handler(self._subscription)

    def take(self, *envelopes: Envelope, **signs: Any) -> list[Outcome]:
        return self._deliver([Incoming(encode(one), **signs) for one in envelopes])

    def _one(self, event: Event, context: Context) -> None:
        self.taken.append(event)

    def _batch(self, batch: Sequence[Context]) -> None:
        self.taken.extend(one.event for one in batch)


def days(count: int) -> list[Envelope]:
    return [announce(DayEnded(day=FIRST + timedelta(number)), source="/test") for number in range(count)]


def is_odd(event: DayEnded) -> bool:
    return event.day.day % 2 == 1


def never(_: Event) -> bool:
    return False


def always(_: Event) -> bool:
    return True


def puzzled(event: DayEnded) -> bool:
    raise ValueError("what is that?")


def states(database: Database) -> dict[str, str]:
    with database.reading() as session:
        return dict(tuple(row) for row in session.connection().execute(select(INBOX.c.event_id, INBOX.c.state)))


def publish(database: Database, one: Envelope) -> None:
    row = {"position": 1, "event_id": one.id, "type": one.type, "body": "", "published_at": datetime.now(UTC)}
    with database.transaction() as session:
        session.connection().execute(insert(table(EventLog)), row)


@pytest.fixture
def statements(database: Database) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        seen.append(statement)

    listen.listen(database.engine, "before_cursor_execute", note)
    yield seen
    listen.remove(database.engine, "before_cursor_execute", note)


def test_an_event_that_is_not_wanted_is_settled_without_the_handler(database: Database) -> None:
    consumer, (first, second) = Consumer(database, is_odd), days(2)
    assert [[Done()], [FILTERED]] == [consumer.take(first), consumer.take(second)]
    assert ([first.data], {first.id: "handled", second.id: "filtered"}) == (consumer.taken, states(database))


def test_it_costs_one_statement(database: Database, statements: list[str]) -> None:
    consumer, (first, second) = Consumer(database, never), days(2)
    consumer.take(first)  # a process learns of erasures with its first event, and then every other second at most
    statements.clear()
    consumer.take(second)
    assert ["INSERT INTO inbox"] == [one[:17] for one in statements]


def test_what_was_not_wanted_once_is_not_asked_about_again(database: Database) -> None:
    (envelope,) = days(1)
    Consumer(database, never).take(envelope)
    assert [FILTERED] == Consumer(database, puzzled).take(envelope, redelivered=True)


def test_what_was_handled_stays_handled_when_the_guard_has_changed(database: Database) -> None:
    (envelope,) = days(1)
    Consumer(database, always).take(envelope)
    assert [Done()] == Consumer(database, never).take(envelope)
    assert {envelope.id: "handled"} == states(database)


def test_what_was_filtered_stays_so_when_a_copy_meets_another_guard(database: Database) -> None:
    (envelope,) = days(1)
    Consumer(database, never).take(envelope)
    Consumer(database, always).take(envelope)
    assert {envelope.id: "filtered"} == states(database)


def test_a_guard_that_raises_goes_by_the_retry_rules(database: Database) -> None:
    (outcome,) = Consumer(database, puzzled).take(*days(1))
    assert RetryLater(5, "ValueError: what is that?") == outcome


def test_a_forced_replay_asks_again(database: Database) -> None:
    (envelope,) = days(1)
    Consumer(database, never).take(envelope)
    with database.transaction() as session:
        inbox.reopen(session, [(envelope.id, "tested")], force=True)
    assert [Done()] == Consumer(database, always).take(envelope, replay=True)
    assert {envelope.id: "handled"} == states(database)


def test_a_failure_that_comes_late_does_not_open_what_was_filtered(database: Database) -> None:
    (envelope,) = days(1)
    Consumer(database, never).take(envelope)
    with database.transaction() as session:
        inbox.fail(session, inbox.Delivery(envelope.id, "tested", 1, datetime.now(UTC)), "late", None)
    assert {envelope.id: "filtered"} == states(database)


def test_a_batch_gets_only_what_is_wanted(database: Database) -> None:
    consumer, envelopes = Consumer(database, is_odd, Batch()), days(4)
    assert [Done(), FILTERED, Done(), FILTERED] == consumer.take(*envelopes)
    assert [envelopes[0].data, envelopes[2].data] == consumer.taken
    assert ["handled", "filtered"] * 2 == [states(database)[one.id] for one in envelopes]


def test_one_that_the_guard_fails_at_leaves_the_rest_of_its_batch_alone(database: Database) -> None:
    def particular(event: DayEnded) -> bool:
        return event.day.day != 2 or puzzled(event)

    consumer = Consumer(database, particular, Batch())
    assert [Done(), RetryLater(5, "ValueError: what is that?"), Done()] == consumer.take(*days(3))
    assert 2 == len(consumer.taken)


def test_a_batch_of_which_nothing_is_wanted_does_not_call_the_handler(database: Database) -> None:
    assert [FILTERED] * 3 == Consumer(database, never, Batch()).take(*days(3))


def test_what_was_filtered_is_settled_and_shown_as_such(database: Database) -> None:
    (envelope,) = days(1)
    publish(database, envelope)
    Consumer(database, never).take(envelope)
    with database.reading() as session:
        assert [] == settling.between(session, "tested", ("day.ended",), 0, 10)
        assert 0 == settling.summary_between(session, "tested", ("day.ended",), 0, 10).count
        assert ["filtered"] == [one.state for one in deliveries.of(session, [envelope.id])[envelope.id]]


def test_what_is_filtered_says_nothing_of_how_the_handler_fares() -> None:
    assert (None, False) == (failed(FILTERED), failed(Done()))


@pytest.mark.parametrize("where", ["yes", True])
def test_a_guard_that_is_no_function_is_refused(where: Any) -> None:
    with pytest.raises(ConfigurationError, match="plain function"):
        subscribe("tested", to=DayEnded, where=where)


def test_a_guard_that_is_a_coroutine_function_is_refused() -> None:
    """What it gives is true whatever it says."""

    async def slow(_: Event) -> bool:
        return False

    with pytest.raises(ConfigurationError, match="plain function"):
        subscribe("tested", to=DayEnded, where=slow)  # type: ignore[arg-type]  # that is the mistake


def test_a_guard_is_recorded(handler: Callable[..., None]) -> None:
    subscribe("tested", to=DayEnded, where=is_odd)(handler)
    (record,) = [each for each in recorded() if each.consumer == "tested"]
    assert [True, False] == [record.wants(DayEnded(day=date(2026, 1, day))) for day in (1, 2)]


@pytest.fixture
def handler() -> Iterator[Callable[..., None]]:
    yield lambda event, context: None
    forget("tested")
