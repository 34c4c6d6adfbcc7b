"""A batch that fails is halved: what is at fault fails alone and for the first time, all else is handled in batches."""

import time
from collections.abc import Sequence
from datetime import date, timedelta
from typing import NoReturn

import pytest
from sqlalchemy import insert, select

from events.clock import DayEnded
from events.envelope import Envelope, announce, encode
from infra.database import inbox
from infra.database.engine import Database
from infra.database.tables import Activity, Inbox, table
from infra.delivery import Deliveries
from infra.effects import Intent
from infra.errors import DatabaseUnavailable
from infra.outcomes import Done, Hold, Incoming, Outcome, RetryLater
from infra.rabbitmq.time_limit import HandlerTimeLimit
from infra.subscriptions import Batch, Context, Subscription

ACTIVITY, INBOX = table(Activity), table(Inbox)
FIRST = date(2026, 1, 1)
#: They go back to their queue, and come again as what was delivered before: alone.
LEFT = Hold("the batch that it was in failed, and its time is over", alone=True)
POISONED = RetryLater(5, "ValueError: poison")


class Consumer:
    """Writes a row for each event and intends an effect for it; raises as it is told."""

    def __init__(self, database: Database, *poison: Envelope, timeout: float = 60.0) -> None:
        self.sizes: list[int] = []
        self.posted: list[str] = []
        #: What a call raises, by its number from 1.
        self.raises: dict[int, BaseException] = {}
        self.stops_at = self.hangs_at = 1_000_000
        self._poison = {one.id for one in poison}
        deliveries = Deliveries(database, {"post": self._post}, is_stopping=lambda: len(self.sizes) >= self.stops_at)
        self._deliver = deliveries.handler(
            Subscription("tested", ("day.ended",), self._handle, batch=Batch(size=500), timeout=timeout)
        )

    def take(self, envelopes: Sequence[Envelope], *, redelivered: bool = False) -> list[Outcome]:
        return self._deliver([Incoming(encode(one), redelivered=redelivered) for one in envelopes])

    def _handle(self, batch: Sequence[Context]) -> None:
        self.sizes.append(len(batch))
        rows = [{"event_id": one.event_id, "type": "t", "subject": None, "time": one.time} for one in batch]
        batch[0].session.connection().execute(insert(ACTIVITY), rows)
        for one in batch:
            one.perform("post", event=one.event_id)
            if one.event_id in self._poison:
                raise ValueError("poison")
        while len(self.sizes) == self.hangs_at:
            time.sleep(0.01)
        if (error := self.raises.get(len(self.sizes))) is not None:
            raise error

    def _post(self, intent: Intent) -> None:
        self.posted.append(intent.arguments["event"])


def days(count: int) -> list[Envelope]:
    return [announce(DayEnded(day=FIRST + timedelta(number)), source="/test") for number in range(count)]


def written(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.connection().execute(select(ACTIVITY.c.event_id)).scalars())


def tries(database: Database) -> dict[tuple[str, int], int]:
    """How many rows the inbox has by state and number of tries."""
    found: dict[tuple[str, int], int] = {}
    with database.reading() as session:
        for row in session.connection().execute(select(INBOX.c.state, INBOX.c.attempts)):
            found[tuple(row)] = found.get(tuple(row), 0) + 1
    return found


def test_one_bad_event_among_500_costs_some_twenty_transactions(database: Database) -> None:
    envelopes = days(500)
    bad = envelopes[333]
    consumer = Consumer(database, bad)
    outcomes = consumer.take(envelopes)
    assert POISONED == outcomes.pop(333)
    assert ([Done()] * 499, {one.id for one in envelopes if one is not bad}) == (outcomes, written(database))
    assert 1 + 2 * 9 >= len(consumer.sizes)


def test_the_bad_one_has_had_one_try_and_the_others_too(database: Database) -> None:
    envelopes = days(20)
    Consumer(database, envelopes[7]).take(envelopes)
    assert {("handled", 1): 19, ("retrying", 1): 1} == tries(database)


@pytest.mark.parametrize("bad", [(0, 1), (0, 63), (5, 6, 7, 40)])
def test_several_bad_ones_fail_and_no_other(database: Database, bad: tuple[int, ...]) -> None:
    envelopes = days(64)
    consumer = Consumer(database, *[envelopes[place] for place in bad])
    outcomes = consumer.take(envelopes)
    assert [POISONED if place in bad else Done() for place in range(64)] == outcomes
    assert {one.id for place, one in enumerate(envelopes) if place not in bad} == written(database)


def test_when_all_are_bad_each_fails_alone(database: Database) -> None:
    envelopes = days(8)
    consumer = Consumer(database, *envelopes)
    assert [POISONED] * 8 == consumer.take(envelopes)
    assert (8 + 7, set(), {("retrying", 1): 8}) == (len(consumer.sizes), written(database), tries(database))


def test_effects_of_the_good_ones_happen_once_each(database: Database) -> None:
    envelopes = days(9)
    consumer = Consumer(database, envelopes[4])
    consumer.take(envelopes)
    assert [one.id for one in envelopes if one is not envelopes[4]] == consumer.posted


def test_events_stay_in_their_order(database: Database) -> None:
    envelopes = days(7)
    consumer = Consumer(database, envelopes[0])
    consumer.take(envelopes)
    assert [one.id for one in envelopes[1:]] == consumer.posted


def test_a_database_that_goes_away_in_the_middle_holds_what_is_left(database: Database) -> None:
    envelopes = days(8)
    consumer = Consumer(database, envelopes[7])
    consumer.raises[4] = DatabaseUnavailable("away")  # the third quarter
    assert [Done()] * 4 + [Hold("away")] * 4 == consumer.take(envelopes)


def test_what_was_held_in_the_middle_goes_on_where_it_was(database: Database) -> None:
    envelopes = days(8)
    consumer = Consumer(database, envelopes[7])
    consumer.raises[4] = DatabaseUnavailable("away")
    consumer.take(envelopes)
    assert [Done()] * 3 + [POISONED] == consumer.take(envelopes[4:])
    assert sorted(one.id for one in envelopes[:7]) == sorted(consumer.posted)


def test_when_a_half_is_interrupted_the_rest_goes_back_uncounted(database: Database) -> None:
    """The limit is for all calls together, and none of it is left: nothing would end a call that hangs."""
    envelopes = days(8)
    consumer = Consumer(database, envelopes[0])
    consumer.raises[6] = GeneratorExit()  # the second quarter
    outcomes = consumer.take(envelopes)
    assert ([POISONED, Done()], [RetryLater] * 2) == (outcomes[:2], [type(one) for one in outcomes[2:4]])
    assert ([LEFT] * 4, {("handled", 1): 1, ("retrying", 1): 3}) == (outcomes[4:], tries(database))


def test_a_batch_that_failed_late_is_not_halved_any_more(database: Database) -> None:
    envelopes = days(4)
    consumer = Consumer(database, envelopes[0], timeout=1e-9)
    assert ([LEFT] * 4, [4]) == (consumer.take(envelopes), consumer.sizes)


def test_what_comes_again_and_takes_long_waits_for_a_call_of_its_own(database: Database) -> None:
    """One at least is tried, so there is an end to it."""
    envelopes = days(3)
    consumer = Consumer(database, timeout=1e-9)
    assert [Done(), *[Hold("what came with it took long")] * 2] == consumer.take(envelopes, redelivered=True)
    assert [envelopes[0].id] == consumer.posted


def test_when_the_process_stops_no_further_half_is_begun(database: Database) -> None:
    envelopes = days(8)
    consumer = Consumer(database, envelopes[0])
    consumer.stops_at = 1
    assert ([LEFT] * 8, [8]) == (consumer.take(envelopes), consumer.sizes)


def test_an_interrupted_batch_is_held_while_the_database_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only one of its events finds that out: each look at a server that does not answer takes seconds."""
    asked = []

    def away(*_: object) -> NoReturn:
        asked.append(1)
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(inbox, "fail", away)
    consumer = Consumer(database)
    consumer.raises[1] = GeneratorExit()
    assert ([Hold("away")] * 5, [1]) == (consumer.take(days(5)), asked)


def test_an_interrupt_of_a_batch_of_one_is_a_failed_try(database: Database) -> None:
    consumer = Consumer(database)
    consumer.raises[1] = GeneratorExit()
    assert [RetryLater] == [type(one) for one in consumer.take(days(1))]


def test_a_bad_one_that_was_retried_alone_is_dropped_as_a_copy(database: Database) -> None:
    """A batch handler is called with one event too, and its claim holds against copies."""
    (envelope,) = days(1)
    consumer = Consumer(database)
    assert [[Done()], [Done()]] == [consumer.take([envelope]), consumer.take([envelope], redelivered=True)]
    assert [envelope.id] == consumer.posted


def test_the_time_limit_ends_a_half_that_hangs_and_with_it_all_of_the_batch(database: Database) -> None:
    """A lane's place is held for one limit, however many calls there were; the real watcher of limits interrupts."""
    envelopes, seconds = days(8), 1.0
    limit, consumer = HandlerTimeLimit(), Consumer(database, envelopes[0], timeout=seconds)
    consumer.hangs_at = 6  # the second quarter
    limit.thread.start()
    began = time.monotonic()
    outcomes = limit.call(consumer.take, envelopes, seconds)
    assert seconds + 2.0 > time.monotonic() - began
    assert [POISONED, Done()] == outcomes[:2]
    assert ["TimeLimitExceeded"] * 2 == [str(getattr(one, "exception", "")).split(".")[-1] for one in outcomes[2:4]]
    assert [LEFT] * 4 == outcomes[4:]
