"""A loop of events on a real broker: it ends by itself, as a dead letter that says which way it went."""

from collections.abc import Callable, Iterator

import pytest

from events import registry
from events.envelope import Event, announce
from infra.database import replays
from infra.database.engine import Database, connect
from infra.recovery.keeping import Keeper
from infra.subscriptions import Context, Subscription
from tests.consumption import consuming
from tests.letters import kept
from tests.relays import add, await_logged, running
from tests.waiting import until

TYPES = ("loop.alone", "loop.there", "loop.back")


@pytest.fixture
def classes() -> Iterator[list[type[Event]]]:
    """Types of this test alone."""
    yield [type("Loop", (Event,), {}, type=name, version=1) for name in TYPES]
    for name in TYPES:
        registry.forget(name)


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """One kind is enough: a loop goes over the broker."""
    connected = connect(sqlite_url)
    yield connected
    connected.close()


def test_loops_end_by_themselves_and_go_on_only_when_somebody_wants_it(
    vhost: str, database: Database, classes: list[type[Event]]
) -> None:
    """An event that causes itself, and two that cause each other, until the sixth time; with force one round more."""
    alone, there, back = classes
    follow_up = {alone.TYPE: alone, there.TYPE: back, back.TYPE: there}
    subscriptions = [
        Subscription(name.replace(".", "-"), (name,), _publishing(event)) for name, event in follow_up.items()
    ]
    with consuming(vhost, database, subscriptions, {}, keeper=Keeper(database)), running(database, vhost):
        add(database, [announce(alone(), source="/test"), announce(there(), source="/test")])
        until(lambda: len(kept(database)) == 2, what="the end of both loops")
        assert 7 + 13 == len(await_logged(database, 20))
        found = {row.consumer: row for row in kept(database)}
        assert {"loop"} == {row.reason for row in found.values()}
        assert found["loop-alone"].error.endswith(": loop.alone*6")
        assert found["loop-there"].error.endswith(" loop.there loop.back loop.there loop.back")
        with database.transaction() as session:
            replays.begin(session, [found["loop-alone"].id], force=True)
        until(lambda: len(kept(database)) == 3, what="the end of the loop that began anew")
        assert "handled" == next(row.state for row in kept(database) if row.id == found["loop-alone"].id)
        assert 20 + 6 == len(await_logged(database, 26))


def _publishing(event: type[Event]) -> Callable[[Event, Context], None]:
    def go_on(_: Event, context: Context) -> None:
        context.publish(event())

    return go_on
