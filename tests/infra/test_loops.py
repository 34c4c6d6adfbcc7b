"""An event that is held to be part of a loop, at its delivery."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from events.clock import DayEnded
from events.envelope import announce, encode
from infra.database import inbox
from infra.database.engine import Database
from infra.delivery import Deliveries
from infra.outcomes import Done, Incoming, Park
from infra.subscriptions import Batch, Context, Subscription

DAY = announce(DayEnded(day=datetime(2026, 11, 22, tzinfo=UTC).date()), source="/test")


def chained(chain: str) -> Incoming:
    return Incoming(encode(replace(DAY, causation_types=chain)))


def test_it_is_dead_without_its_handler_and_the_letter_names_the_way_that_it_took(database: Database) -> None:
    """The inbox has nothing of it: the keeper writes that."""
    calls: list[str] = []
    subscription = Subscription("tested", ("day.ended",), lambda event, context: calls.append(context.event_id))
    deliver = Deliveries(database, {}).handler(subscription)
    (dead,) = deliver([chained("hour.passed day.ended*6")])
    assert isinstance(dead, Park)
    assert ("loop", True) == (dead.reason, dead.error.endswith("edit it): hour.passed day.ended*6"))
    with database.reading() as session:
        assert ([], []) == (calls, list(inbox.of_event(session, DAY.id)))
    assert [Done()] == deliver([chained("hour.passed day.ended*5")])
    assert [DAY.id] == calls


def test_the_text_of_the_letter_is_no_longer_than_that_of_any(database: Database) -> None:
    deliver = Deliveries(database, {}).handler(Subscription("tested", ("day.ended",), lambda event, context: None))
    (dead,) = deliver([chained(" ".join(f"{'x' * 240}.n{n}" for n in range(21)))])
    assert isinstance(dead, Park)
    assert 500 == len(dead.error)


def test_in_a_batch_only_it_is_dead(database: Database) -> None:
    taken: list[str] = []

    def take(batch: Sequence[Context]) -> None:
        taken.extend(one.event_id for one in batch)

    deliver = Deliveries(database, {}).handler(Subscription("tested", ("day.ended",), take, batch=Batch(size=10)))
    other = announce(DAY.data, source="/test")
    outcomes = deliver([chained("day.ended*6"), Incoming(encode(other))])
    assert ["Park", "Done"] == [type(outcome).__name__ for outcome in outcomes]
    assert [other.id] == taken
