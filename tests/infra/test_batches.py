"""A batch: many events in one transaction; one that fails is found and does not take the others along."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import pytest
from sqlalchemy import insert, select

from events.clock import DayEnded
from events.envelope import Envelope, announce, encode
from infra.database import inbox
from infra.database.engine import Database
from infra.database.tables import Activity, table
from infra.delivery import Deliveries
from infra.effects import Intent
from infra.errors import ConfigurationError, DatabaseUnavailable, EffectFailed
from infra.outcomes import Done, Hold, Incoming, Outcome, Park, RetryLater
from infra.subscriptions import Batch, Context, Subscription, subscribe

ACTIVITY = table(Activity)
FIRST = date(2026, 1, 1)
Deliver = Callable[..., list[Outcome]]


def days(count: int) -> list[Envelope]:
    return [announce(DayEnded(day=FIRST + timedelta(number)), source="/test") for number in range(count)]


def write(batch: Sequence[Context]) -> None:
    rows = [
        {"event_id": one.event_id, "type": one.event.TYPE, "subject": one.subject, "time": one.time} for one in batch
    ]
    batch[0].session.connection().execute(insert(ACTIVITY), rows)


class Handler:
    """Writes, remembers how many events came together, and fails for some of them."""

    def __init__(self, *poison: str) -> None:
        self.sizes: list[int] = []
        self._poison = poison

    def __call__(self, batch: Sequence[Context]) -> None:
        self.sizes.append(len(batch))
        write(batch)
        for one in batch:
            if one.event_id in self._poison:
                raise ValueError("poison")


@pytest.fixture
def deliver(database: Database) -> Deliver:
    def run(
        handler: Callable[..., None], envelopes: Sequence[Envelope], **performers: Callable[[Intent], None]
    ) -> list[Outcome]:
        deliveries = Deliveries(database, performers)
        subscription = Subscription("tested", ("day.ended",), handler, batch=Batch())
        return deliveries.handler(subscription)([Incoming(encode(envelope)) for envelope in envelopes])

    return run


def written(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.connection().execute(select(ACTIVITY.c.event_id)).scalars())


def test_all_are_handled_by_one_call(database: Database, deliver: Deliver) -> None:
    handler, envelopes = Handler(), days(50)
    assert [Done()] * 50 == deliver(handler, envelopes)
    assert ([50], {one.id for one in envelopes}) == (handler.sizes, written(database))


def test_a_failing_one_is_found_and_retried_alone(database: Database, deliver: Deliver) -> None:
    envelopes = days(5)
    handler = Handler(envelopes[2].id)
    outcomes = deliver(handler, envelopes)
    assert RetryLater(5, "ValueError: poison") == outcomes.pop(2)
    assert ([Done()] * 4, [5, 3, 2, 1, 2]) == (outcomes, handler.sizes)
    assert {one.id for one in envelopes} - {envelopes[2].id} == written(database)
    with database.reading() as session:
        assert ["retrying"] == [row.state for row in inbox.of_event(session, envelopes[2].id)]


def test_events_that_were_handled_before_are_left_out(database: Database, deliver: Deliver) -> None:
    envelopes, handler = days(4), Handler()
    deliver(handler, envelopes[:2])
    assert [Done()] * 4 == deliver(handler, envelopes)
    assert ([2, 2], 4) == ([size for size in handler.sizes if size != 1], len(written(database)))


def test_what_comes_again_is_handled_before_what_is_new(database: Database) -> None:
    order: list[str] = []
    handle = Deliveries(database, {}).handler(
        Subscription("tested", ("day.ended",), lambda batch: order.extend(one.event_id for one in batch), batch=Batch())
    )
    envelopes = days(4)
    handle([Incoming(encode(one), redelivered=number % 2 == 1) for number, one in enumerate(envelopes)])
    assert [envelopes[number].id for number in (1, 3, 0, 2)] == order


def test_two_copies_in_one_batch_are_one_event(database: Database, deliver: Deliver) -> None:
    (envelope,) = days(1)
    assert [Done(), Done()] == deliver(Handler(), [envelope, envelope])
    assert {envelope.id} == written(database)


def test_each_event_has_its_own_effects(deliver: Deliver) -> None:
    def mail(batch: Sequence[Context]) -> None:
        for one in batch:
            one.perform("post", day=one.subject)

    posted: list[str] = []

    def post(intent: Intent) -> None:
        if intent.arguments["day"] == "2026-01-02":
            raise EffectFailed("451")
        posted.append(intent.arguments["day"])

    assert [Done(), RetryLater(5, "EffectFailed: 451"), Done()] == deliver(mail, days(3), post=post)
    assert ["2026-01-01", "2026-01-03"] == posted


def test_what_cannot_be_read_is_parked_and_the_rest_goes_on(database: Database) -> None:
    handle = Deliveries(database, {}).handler(Subscription("tested", ("day.ended",), Handler(), batch=Batch()))
    (envelope,) = days(1)
    parked, done = handle([Incoming(b"{"), Incoming(encode(envelope))])
    assert isinstance(parked, Park)
    assert (Done(), {envelope.id}) == (done, written(database))


def test_a_database_that_is_away_holds_all_of_them(deliver: Deliver) -> None:
    def away(batch: Sequence[Context]) -> None:
        raise DatabaseUnavailable("away")

    assert [Hold("away")] * 3 == deliver(away, days(3))


@pytest.mark.parametrize("batch", [Batch(size=1), Batch(size=10_000), Batch(wait=0), Batch(wait=61)])
def test_a_batch_that_makes_no_sense_is_refused(batch: Batch) -> None:
    with pytest.raises(ConfigurationError, match="a batch has"):
        subscribe("tested", to=DayEnded, batch=batch)


def test_an_interrupted_batch_comes_back_one_by_one(deliver: Deliver) -> None:
    """Trying each alone would take as long again, and no limit would be left to end it."""

    def interrupted(batch: Sequence[Context]) -> None:
        raise GeneratorExit

    outcomes = deliver(interrupted, days(3))
    assert [RetryLater] * 3 == [type(outcome) for outcome in outcomes]


def test_a_batch_of_nothing_new_does_not_call_the_handler(deliver: Deliver) -> None:
    handler, envelopes = Handler(), days(2)
    deliver(handler, envelopes)
    deliver(handler, envelopes)
    assert 0 not in handler.sizes
