"""Overlap `skip`: a due time fires only when the tick before has come to its end at every consumer."""

from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from sqlalchemy import delete, insert, update
from sqlmodel import Session

from events.clock import HeartbeatTicked, due_id
from events.envelope import Envelope, announce
from events.users import UserRegistered
from infra.database import consumers, event_log, leases, outbox, positions, schedules
from infra.database.engine import Database
from infra.database.leases import Holding
from infra.database.schedules import Definition
from infra.database.settling import Open
from infra.database.tables import EventLog, Outbox, ScheduleRun, table
from infra.schedules.overlap import hindrance
from infra.subscriptions import EVERY_TYPE, Subscription
from tests import letters

NAME = "sweep"
TICK = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
NEXT = TICK + timedelta(minutes=1)
RELAY = Holding("relay", "me", 5.0)
SLOW, QUICK, OTHER = "slow", "quick", "other"


@pytest.fixture(autouse=True)
def listening(database: Database) -> None:
    """Two consumers take the ticks, a third one something else."""
    types = {SLOW: HeartbeatTicked.TYPE, QUICK: EVERY_TYPE, OTHER: UserRegistered.TYPE}
    with database.transaction() as session:
        consumers.declare(session, [Subscription(name, (kind,), handler=print) for name, kind in types.items()])


def fire(database: Database, due: datetime, state: str = "fired") -> Envelope:
    """A due time that was decided."""
    with database.transaction() as session:
        return write(session, due, state)


def write(session: Session, due: datetime, state: str = "fired") -> Envelope:
    """The same, in a transaction; the event is in the outbox if it was fired."""
    event_id = due_id(NAME, due)
    envelope = announce(HeartbeatTicked(due_at=due), source="/scheduler", id=event_id, time=due)
    row = {"schedule": NAME, "due_at": due, "event_id": event_id, "fired_at": due, "kind": "due", "state": state}
    session.connection().execute(insert(table(ScheduleRun)), row)
    if state == "fired":
        outbox.add(session, envelope)
    return envelope


def publish(database: Database) -> None:
    with database.transaction() as session:
        leases.acquire(session, RELAY.name, RELAY.holder, RELAY.seconds)
        event_log.publish(session, outbox.due(session, 100), lease=RELAY)


def reason(database: Database, due: datetime = NEXT) -> str | None:
    with database.transaction() as session:
        return hindrance(session, NAME, due)


def test_the_first_tick_of_all_fires(database: Database) -> None:
    assert None is reason(database)


def test_a_tick_that_is_not_published_holds_the_next_one_up(database: Database) -> None:
    fire(database, TICK)
    assert "The relay has not published the tick of 2026-11-22T09:30:00.000000Z." == reason(database)
    assert None is reason(database, TICK)  # it does not stand in its own way


def test_a_tick_that_was_set_aside_is_on_its_way_to_nobody(database: Database) -> None:
    fire(database, TICK)
    with database.transaction() as session:
        session.connection().execute(update(table(Outbox)).values(set_aside=True))
    assert None is reason(database)


def test_each_consumer_that_takes_it_must_have_handled_it(database: Database) -> None:
    tick = fire(database, TICK)
    publish(database)
    assert "quick, slow have not ended the tick of 2026-11-22T09:30:00.000000Z." == reason(database)
    letters.handled(database, tick, QUICK)
    assert "slow has not ended the tick of 2026-11-22T09:30:00.000000Z." == reason(database)
    letters.handled(database, tick, SLOW)
    assert None is reason(database)


def test_a_dead_letter_that_is_kept_ends_a_tick(database: Database) -> None:
    tick = fire(database, TICK)
    publish(database)
    letters.handled(database, tick, QUICK)
    letters.dead(database, tick, SLOW)
    assert "slow" in (reason(database) or "")  # given up, and on its way to the dead letters
    letters.keep(database, letters.letter(tick, consumer=SLOW))
    assert None is reason(database)


def test_the_newest_tick_that_was_fired_counts_and_no_other(database: Database) -> None:
    fire(database, TICK - timedelta(minutes=1))
    publish(database)
    tick = fire(database, TICK)
    publish(database)
    for consumer in (QUICK, SLOW):
        letters.handled(database, tick, consumer)
    fire(database, NEXT, "skipped")
    assert None is reason(database, NEXT + timedelta(minutes=1))


def test_a_later_tick_that_another_replica_fired_first_is_in_the_way_too(database: Database) -> None:
    fire(database, NEXT)
    assert "The relay has not published the tick of 2026-11-22T09:31:00.000000Z." == reason(database, TICK)


def test_what_another_replica_fires_at_this_moment_is_waited_for(database: Database) -> None:
    with database.transaction() as session:
        schedules.add(session, Definition(name=NAME, trigger={"every": "1m"}, type=HeartbeatTicked.TYPE))
    asking: Future[str | None] = Future()

    def ask() -> None:
        with database.transaction() as session:
            asking.set_result(hindrance(session, NAME, NEXT))

    with database.transaction() as session:
        assert None is hindrance(session, NAME, TICK)
        other = Thread(target=ask)
        other.start()
        write(session, TICK)
        with pytest.raises(TimeoutError):
            asking.result(0.2)
    assert "The relay" in (asking.result(10) or "")
    other.join()


def test_a_consumer_that_came_later_has_no_part_in_it(database: Database) -> None:
    tick = fire(database, TICK)
    publish(database)
    with database.transaction() as session:
        consumers.declare(session, [Subscription("newcomer", (EVERY_TYPE,), handler=print)])
    for consumer in (QUICK, SLOW):
        letters.handled(database, tick, consumer)
    assert None is reason(database)


def test_what_the_sweep_has_seen_settled_stays_so_when_the_inbox_is_cleaned(database: Database) -> None:
    tick = fire(database, TICK)
    publish(database)
    left = Open(1, tick.id, TICK, None, None, None, None)
    with database.transaction() as session:
        positions.advance(session, QUICK, 0, 1, [])
        positions.advance(session, SLOW, 0, 1, [left])
    assert "slow has not ended the tick of 2026-11-22T09:30:00.000000Z." == reason(database)
    letters.handled(database, tick, SLOW)
    assert None is reason(database)


def test_an_event_that_is_cleaned_away_was_ended_long_ago(database: Database) -> None:
    fire(database, TICK)
    publish(database)
    with database.transaction() as session:
        session.connection().execute(delete(table(EventLog)))
    assert None is reason(database)


def test_a_note_names_three_consumers_and_counts_the_others(database: Database) -> None:
    fire(database, TICK)
    names = [f"one-{number}" for number in range(4)]
    with database.transaction() as session:
        consumers.declare(session, [Subscription(name, (EVERY_TYPE,), handler=print) for name in names])
    publish(database)
    said = "one-0, one-1, one-2 and 3 more have not ended the tick of 2026-11-22T09:30:00.000000Z."
    assert said == reason(database)
