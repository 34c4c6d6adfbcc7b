"""What depends on an event type: each stage in which an event can wait, and who has to do with the type."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from events.clock import DayEnded
from events.envelope import Envelope, announce, encode
from events.users import UserRegistered
from infra.database import consumers, inbox, outbox, pauses, schedules
from infra.database.consumer_tables import Waiting
from infra.database.engine import Database
from infra.database.recovery_tables import Unsettled
from infra.database.schedules import Definition
from infra.database.tables import Outbox, table
from infra.database.tables import Subscription as Row
from infra.errors import NotKnown
from infra.schemas import impact
from infra.schemas.impact import Impact, Taker
from infra.subscriptions import EVERY_TYPE, Batch, Subscription
from tests.infra.schemas.test_live import log
from tests.letters import keep, letter, put
from tests.relays import registered

TYPE = UserRegistered.TYPE
SMS = Subscription("sms", (TYPE,), print, ordered=True, publishes=("day.ended",))
ALL = Subscription("all", (EVERY_TYPE,), print, batch=Batch(), where=lambda event: True)
DAYS = Subscription("days", ("day.ended",), print)


@pytest.fixture(autouse=True)
def recorded(database: Database) -> None:
    with database.transaction() as session:
        consumers.declare(session, [SMS, ALL, DAYS])


def found(database: Database, event_type: str = TYPE, programs: Sequence[str] = ()) -> Impact:
    with database.reading() as session:
        return impact.find(session, event_type, programs)


def taker(database: Database, name: str) -> Taker:
    return next(each for each in found(database).consumers if each.name == name)


def logged(database: Database, *events: Envelope, at: datetime | None = None, first: int = 1) -> None:
    log(database, *[(event, encode(event)) for event in events], at=at, first=first)


def state(database: Database, event: Envelope, consumer: str, ended: str) -> None:
    """What a delivery writes into the inbox."""
    delivery = inbox.Delivery(event.id, consumer, 1, datetime.now(UTC))
    with database.transaction() as session:
        if ended == "handled":
            inbox.claim(session, delivery)
        else:
            inbox.fail(session, delivery, "no", datetime.now(UTC) + timedelta(minutes=1))


def test_its_consumers_are_those_of_the_type_and_those_of_all(database: Database) -> None:
    with database.transaction() as session:
        pauses.pause(session, "sms", "operator", "Too many.")
    shown = [
        (each.name, each.takes_all, each.paused, each.ordered, each.filtered) for each in found(database).consumers
    ]
    assert [("all", True, False, False, True), ("sms", False, True, True, False)] == shown


def test_what_waits_in_the_outbox_is_counted_by_why(database: Database) -> None:
    later, refused = registered(), registered()
    other = announce(DayEnded(day=datetime.now(UTC).date()), source="/test")
    with database.transaction() as session:
        outbox.add_all(session, [(registered(), None), (registered(), None), (refused, None), (other, None)])
        outbox.add(session, later, available_at=datetime.now(UTC) + timedelta(days=1))
        row = table(Outbox)
        session.connection().execute(update(row).where(row.c.event_id == refused.id).values(set_aside=True))
    assert {"accepted": 2, "waiting": 1, "set_aside": 1} == found(database).outbox.model_dump()


def test_what_a_consumer_has_not_settled_is_counted_by_where_it_is(database: Database) -> None:
    """Pending, retrying, held back for an earlier one of its subject, given up; and what it handled is not counted."""
    handled, retrying, dead, held, pending = events = [registered() for _ in range(5)]
    day = announce(DayEnded(day=datetime.now(UTC).date()), source="/test")
    logged(database, *events, day)
    state(database, handled, "sms", "handled")
    state(database, retrying, "sms", "retrying")
    keep(database, letter(dead, consumer="sms"), letter(pending, consumer="all"))
    with database.transaction() as session:
        row = {"consumer": "sms", "position": 4, "subject": "s", "event_id": held.id, "since": datetime.now(UTC)}
        session.connection().execute(insert(table(Waiting)), row)
    sms = taker(database, "sms")
    assert (1, 1, 1, 1) == (sms.pending, sms.retrying, sms.waiting_in_order, sms.dead_letters)
    assert (4, 0, 0, 1) == (
        (each := taker(database, "all")).pending, each.retrying, each.waiting_in_order, each.dead_letters
    )  # fmt: skip


def test_what_the_scan_went_past_is_counted_too(database: Database) -> None:
    """A consumer's scan is at the log's end, and two events before it are not settled, of two types."""
    one, day = registered(), announce(DayEnded(day=datetime.now(UTC).date()), source="/test")
    logged(database, registered(), one, day)
    rows = [
        {"consumer": "all", "position": position, "event_id": event.id, "published_at": datetime.now(UTC)}
        for position, event in ((2, one), (3, day))
    ]
    with database.transaction() as session:
        session.connection().execute(insert(table(Unsettled)), rows)
        row = table(Row)
        session.connection().execute(update(row).where(row.c.consumer == "all").values(scanned=3))
    assert 1 == taker(database, "all").pending


def test_dead_letters_are_counted_by_reason_while_they_are_open(database: Database) -> None:
    keep(database, letter(registered()), letter(registered()), letter(registered(), reason="loop"))
    (closed,) = keep(database, letter(registered()))
    put(database, closed, state="discarded")
    keep(database, letter(announce(DayEnded(day=datetime.now(UTC).date()), source="/test")))
    assert {"handler-error": 2, "loop": 1} == found(database).dead_letters


def test_who_announces_it_is_who_says_so_and_who_was_seen(database: Database) -> None:
    day = DayEnded(day=datetime.now(UTC).date())
    sources = ["/consumers/sms", "/scheduler", "/scheduler", "/consumers/nightly", "/operators"]
    logged(database, *[announce(day, source=source) for source in sources])
    shown = [(each.name, each.kind, each.declared, each.seen) for each in found(database, "day.ended").publishers]
    assert [("sms", "consumer", True, 1), ("scheduler", "program", False, 2)] == shown[:2]
    assert {("nightly", "consumer", False, 1), ("operators", "program", False, 1)} == set(shown[2:])
    (gateway,) = found(database, programs=["gateway"]).publishers
    assert ("gateway", "program", True, 0) == (gateway.name, gateway.kind, gateway.declared, gateway.seen)


def test_when_it_was_published_last_and_how_often_lately(database: Database) -> None:
    now = datetime.now(UTC)
    assert (None, None, 0, 0) == (
        (nothing := found(database)).last_published_at, nothing.last_position, nothing.last_hour, nothing.last_day
    )  # fmt: skip
    for number, hours in enumerate((50, 20, 2, 0), 1):
        logged(database, registered(), at=now - timedelta(hours=hours), first=number)
    shown = found(database)
    assert (4, 1, 3) == (shown.last_position, shown.last_hour, shown.last_day)
    assert shown.last_published_at == now


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "running"),
        ({"paused_at": datetime(2026, 1, 1, tzinfo=UTC)}, "paused"),
        ({"silent_since": datetime(2026, 1, 1, tzinfo=UTC)}, "silent"),
        ({"retired_at": datetime(2026, 1, 1, tzinfo=UTC)}, "retired"),
    ],
    ids=["running", "paused", "silent", "retired"],
)
def test_its_schedules_are_named_with_their_state(database: Database, change: dict[str, Any], expected: str) -> None:
    with database.transaction() as session:
        schedules.add(session, Definition(name="mine", trigger={"every": "1h"}, type="day.ended"))
        schedules.add(session, Definition(name="other", trigger={"every": "1h"}, type="hour.passed"))
        schedules._change(session, "mine", change)
    assert [("mine", expected)] == [(each.name, each.state) for each in found(database, "day.ended").schedules]


def test_a_type_without_a_class_is_told_of_as_long_as_anybody_has_to_do_with_it(database: Database) -> None:
    """A consumer of it may be of a newer release, or an event of it of an older one."""
    with pytest.raises(NotKnown):
        found(database, "gone.away")
    keep(database, letter(registered(), type="gone.away"))
    shown = found(database, "gone.away")
    assert (False, None, [], {"handler-error": 1}) == (
        shown.known, shown.version, shown.versions, shown.dead_letters
    )  # fmt: skip
    assert (True, 1, [1], "user_id") == (
        (known := found(database)).known, known.version, known.versions, known.subject
    )  # fmt: skip
