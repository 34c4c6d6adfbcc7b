"""Cancelling and moving beside a relay at work: a cancelled event is never published, and no other one is missed."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from events.clock import DayEnded
from events.envelope import Envelope, announce, decode
from infra.announcing import postponing
from infra.database import outbox
from infra.database.engine import Database, connect
from infra.errors import Gone, NotPossible
from infra.relaying import reading
from infra.relaying.reading import Reading
from infra.relaying.releasing import released
from tests.brokers import BrokerApi
from tests.relays import CONSUMER, add, await_logged, record, running
from tests.waiting import until

pytestmark = pytest.mark.anyio
EVENTS = 300
#: Between the times of two of them, and how long before its time one is cancelled or moved.
STEP, MOMENT = timedelta(seconds=0.01), timedelta(seconds=0.015)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def gateway(database_url: str, database: Database) -> Iterator[Database]:
    """The same database, as the program has it that cancels and moves."""
    connected = connect(database_url)
    yield connected
    connected.close()


def day_ended() -> Envelope:
    return announce(DayEnded(day=datetime.now(UTC).date()), source="/test")


def cancel(database: Database, event_id: str) -> bool:
    """Whether it is cancelled for certain."""
    try:
        database.run(lambda session: postponing.cancel(session, event_id, who="test", why=""))
    except (NotPossible, Gone):
        return False
    return True


def move(database: Database, event_id: str, at: datetime | None) -> bool:
    """Whether it is moved for certain."""
    try:
        database.run(lambda session: postponing.move(session, event_id, at, who="test", why=""))
    except (NotPossible, Gone):
        return False
    return True


async def test_what_is_cancelled_after_the_relay_read_it_is_not_published(
    database: Database, gateway: Database
) -> None:
    kept, cancelled = day_ended(), day_ended()
    add(database, [kept, cancelled], datetime.now(UTC))
    look = Reading(database)
    try:
        rows, _ = await look.due(10, [], [])
    finally:
        look.close()
    assert [True, True] == [row.held for row in rows]
    assert cancel(gateway, cancelled.id)
    assert [kept.id] == [row.event_id for row in await released(database, rows)]
    assert [] == await released(database, rows), "only one relay is given it by this look"
    assert (False, False) == (cancel(gateway, kept.id), move(gateway, kept.id, None))


async def test_what_is_moved_after_the_relay_read_it_waits_or_is_published_as_the_move_wrote_it(
    database: Database, gateway: Database
) -> None:
    later, earlier = day_ended(), day_ended()
    add(database, [later, earlier], datetime.now(UTC))
    look = Reading(database)
    try:
        rows, _ = await look.due(10, [], [])
    finally:
        look.close()
    now = datetime.now(UTC)
    assert move(gateway, later.id, now + timedelta(hours=1))
    assert move(gateway, earlier.id, now)
    (published,) = await released(database, rows)
    assert (earlier.id, now) == (published.event_id, decode(published.body.encode()).time)


def test_what_a_relay_released_before_it_died_is_published_by_the_next(database: Database, vhost: str) -> None:
    record(database, "day.ended")
    event = day_ended()
    add(database, [event], datetime.now(UTC))
    with database.transaction() as session:
        row = outbox.find(session, event.id)
        assert row is not None
        outbox.release(session, [row.sequence or 0])
    with running(database, vhost):
        assert [event.id] == [row.event_id for row in await_logged(database, 1)]


def test_the_relay_wakes_for_what_is_moved_nearer_and_for_a_clock_that_is_stepped(
    database: Database, gateway: Database, vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps until the time that the next event had when it looked, and by another clock."""
    record(database, "day.ended")
    near, far = day_ended(), day_ended()
    add(database, [near, far], datetime.now(UTC) + timedelta(hours=1))
    with running(database, vhost) as run:
        until(lambda: run.relay.state == "active", what="the relay's start")
        assert move(gateway, near.id, datetime.now(UTC) + timedelta(seconds=0.2))
        assert [near.id] == [row.event_id for row in await_logged(database, 1)]
        _set_clock(monkeypatch, 3600)
        assert far.id == await_logged(database, 2)[1].event_id


def test_each_event_is_cancelled_and_never_published_or_is_published_once(
    database: Database, gateway: Database, vhost: str, broker_api: BrokerApi, ahead: float
) -> None:
    """Hundreds are due within seconds, while two threads cancel and move them at their very time."""
    record(database, "day.ended")
    first, *events = [day_ended() for _ in range(EVENTS + 1)]
    cancelled, moved = set[str](), dict[str, datetime]()
    with running(database, vhost), ThreadPoolExecutor(2) as threads:
        add(database, [first])
        await_logged(database, 1)
        start = _time(ahead) + timedelta(seconds=0.5)
        with database.transaction() as session:
            outbox.add_all(session, [(event, start + number * STEP) for number, event in enumerate(events)])

        def cancel_some() -> None:
            for number in _next(start, ahead):
                event = events[min(number + number % 8, EVENTS - 1)]  # some with ease, on however busy a machine
                if cancel(gateway, event.id):
                    cancelled.add(event.id)

        def move_some() -> None:
            for number in _next(start, ahead):
                at = _time(ahead) + timedelta(seconds=number % 4 / 10)
                if number % 2 and move(gateway, events[number].id, at):
                    moved[events[number].id] = at

        for done in [threads.submit(cancel_some), threads.submit(move_some)]:
            done.result(60)
        log = [row.event_id for row in await_logged(database, 1 + EVENTS - len(cancelled))]
    assert Counter(event.id for event in [first, *events]) == Counter(log) + Counter(cancelled)
    bodies = [decode(body) for _, body in broker_api.take(vhost, CONSUMER)]
    assert Counter(log) == Counter(envelope.id for envelope in bodies)
    left = {envelope.id: envelope.time for envelope in bodies if envelope.id in moved}
    assert left == {event_id: at for event_id, at in moved.items() if event_id in left}, "published as it was moved to"
    assert len(cancelled) > 5, "the race is one"


def _next(start: datetime, ahead: float) -> Iterator[int]:
    """The number of the event that is due in a moment, again and again, each once."""
    number = -1
    while number < EVENTS - 1:
        before = number
        number = until(lambda: _number(start, ahead, before), what="the next one's time") - 1  # noqa: B023
        yield number


def _number(start: datetime, ahead: float, before: int) -> int:
    """One more than the number of that event; 0 if that is the one before."""
    number = min((_time(ahead) - start + MOMENT) // STEP, EVENTS - 1)
    return number + 1 if number > before else 0


@pytest.fixture(params=[0.0, 1.0], ids=["same-clock", "ahead"])
def ahead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds by which the clock of the relay's machine is ahead of that of the gateway, which asks none."""
    seconds: float = request.param
    _set_clock(monkeypatch, seconds)
    return seconds


def _set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Put the relay's clock forward."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=seconds)

    for module in (reading, outbox):
        monkeypatch.setattr(module, "datetime", Ahead)


def _time(ahead: float) -> datetime:
    """By the relay's clock."""
    return datetime.now(UTC) + timedelta(seconds=ahead)
