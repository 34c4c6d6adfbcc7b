"""Outbox, event log, inbox, effects, leases and recorded consumers: the same rules on both databases."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert
from sqlalchemy.event import listens_for

from events.envelope import Envelope, announce, decode
from events.users import UserRegistered
from infra.database import consumers, effects, event_log, inbox, leases, outbox
from infra.database.engine import Database, connect
from infra.database.leases import Holding
from infra.database.tables import EventLog, Lease, table
from infra.effects import Intent
from infra.errors import Busy, LeaseLost
from infra.subscriptions import EVERY_TYPE, Subscription

SOON = datetime.now(UTC) + timedelta(seconds=5)
RELAY = Holding("relay", "me", 5.0)


def registered(name: str = "Ada") -> Envelope:
    return announce(UserRegistered(user_id=uuid4(), name=name, email="ada@example.com"), source="/test")


def add(database: Database, envelopes: Iterable[Envelope], at: datetime | None = None) -> None:
    with database.transaction() as session:
        outbox.add_all(session, [(envelope, at) for envelope in envelopes])


def due(database: Database, limit: int = 100) -> list[outbox.Due]:
    with database.reading() as session:
        return outbox.due(session, limit)


def publish(database: Database, rows: list[outbox.Due], lease: Holding = RELAY) -> int:
    with database.transaction() as session:
        leases.acquire(session, lease.name, lease.holder, lease.seconds)
    with database.transaction() as session:
        return event_log.publish(session, rows, lease=lease)


def test_events_are_due_in_the_order_in_which_they_were_added(database: Database) -> None:
    sent = [registered() for _ in range(20)]
    add(database, sent[:10])
    add(database, sent[10:])
    assert [envelope.id for envelope in sent] == [row.event_id for row in due(database)]
    assert sent[0] == decode(due(database)[0].body.encode())


def test_one_event_is_added_by_one_plain_statement(database: Database) -> None:
    seen: list[tuple[bool, bool]] = []

    @listens_for(database.engine, "before_cursor_execute")
    def note(*executed: Any) -> None:
        _, _, statement, _, _, many = executed
        if statement.startswith("INSERT"):
            seen.append((many, "RETURNING" in statement))

    add(database, [registered()])
    assert seen == [(False, False)]  # each would cost PostgreSQL further messages


def test_the_counter_of_a_lease_whose_row_was_deleted_goes_on_where_the_log_ends(database: Database) -> None:
    add(database, [registered() for _ in range(3)])
    assert publish(database, due(database)) == 3
    with database.transaction() as session:
        session.connection().execute(delete(table(Lease)))
    add(database, [registered()])
    assert publish(database, due(database)) == 4


def test_what_is_in_the_log_already_leaves_the_outbox(database: Database) -> None:
    twice, once = registered(), registered()
    add(database, [twice])
    publish(database, due(database))
    add(database, [twice, once])
    with database.transaction() as session:
        left = event_log.without_logged(session, outbox.due(session, 10))
    assert [row.event_id for row in left] == [once.id] == [row.event_id for row in due(database)]


def test_an_event_of_the_future_waits_and_is_announced_as_next(database: Database) -> None:
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    add(database, [registered()], later)
    with database.reading() as session:
        assert (later, 0) == (outbox.next_at(session), outbox.backlog(session).rows)
    assert [] == due(database)


def test_an_event_waits_for_no_moment_without_a_zone(database: Database) -> None:
    with pytest.raises(ValueError, match="a time that has a zone"):
        add(database, [registered()], datetime(2026, 11, 26))  # noqa: DTZ001  # that is the mistake
    assert [] == due(database)


def test_at_any_one_moment_an_event_is_due_or_announced_as_next(database: Database) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    before = at - timedelta(microseconds=1)
    add(database, [registered()], at)
    with database.reading() as session:
        assert (0, at) == (len(outbox.due(session, 10, now=before)), outbox.next_at(session, now=before))
        assert (1, None) == (len(outbox.due(session, 10, now=at)), outbox.next_at(session, now=at))


def test_an_event_whose_time_has_come_is_due_after_those_that_need_not_wait(database: Database) -> None:
    past, now = registered(), registered()
    add(database, [past], datetime.now(UTC) - timedelta(seconds=1))
    add(database, [now])
    assert [now.id, past.id] == [row.event_id for row in due(database)]


def test_the_tenth_blame_sets_a_row_aside_and_the_others_stay(database: Database) -> None:
    poison, good = registered(), registered()
    add(database, [poison, good])
    sequence = due(database)[0].sequence
    for tried in range(1, 11):
        assert 2 == len(due(database))
        with database.transaction() as session:
            outbox.blame(session, {sequence: f"refused {tried}"})
    assert [good.id] == [row.event_id for row in due(database)]
    with database.reading() as session:
        assert (1, 1) == (outbox.backlog(session).rows, outbox.backlog(session).set_aside)
        kept = outbox.find(session, poison.id)
    assert kept is not None
    assert ("refused 10", 10, True) == (kept.error, kept.attempts, kept.set_aside)


def test_published_rows_move_to_the_log_at_positions_without_a_gap(database: Database) -> None:
    sent = [registered() for _ in range(7)]
    add(database, sent)
    rows = due(database)
    assert (3, 7) == (publish(database, rows[:3]), publish(database, rows[3:]))
    assert [] == due(database)
    with database.reading() as session:
        positions = [event_log.find(session, envelope.id) for envelope in sent]
        assert 7 == event_log.last_position(session)
    assert list(range(1, 8)) == [row.position for row in positions if row is not None]


def test_a_relay_that_lost_its_lease_moves_nothing(database: Database) -> None:
    add(database, [registered()])
    rows = due(database)
    with database.transaction() as session:
        leases.acquire(session, "relay", "another", 30.0)
    with pytest.raises(LeaseLost), database.transaction() as session:
        event_log.publish(session, rows, lease=RELAY)
    assert rows == due(database)


def test_a_lease_of_a_clock_that_was_set_back_since_keeps_nobody_waiting(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder may be dead, and nobody would do its work for as long as the clock was set back."""
    database = connect(sqlite_url)
    ahead = datetime.now(UTC) + timedelta(hours=1)
    with monkeypatch.context() as before, database.transaction() as session:
        before.setattr(leases, "_now", lambda _: ahead)
        assert leases.acquire(session, "x", "dead", 3.0)
    with database.transaction() as session:
        assert leases.acquire(session, "x", "next", 3.0)
        assert not leases.acquire(session, "x", "third", 3.0)
    database.close()


def test_a_lease_is_for_one_until_it_runs_out_or_is_released(database: Database) -> None:
    def acquire(who: str, seconds: float = 30.0) -> bool:
        with database.transaction() as session:
            return leases.acquire(session, "x", who, seconds)

    assert (True, True, False) == (acquire("a"), acquire("a"), acquire("b"))
    with database.transaction() as session:
        leases.release(session, "x", "b")  # not b's to give
    assert not acquire("b")
    with database.transaction() as session:
        leases.release(session, "x", "a")
    assert (True, False) == (acquire("b", 0.0), acquire("b", -1.0) and False)
    assert acquire("a")


def _delivery(event_id: str, attempt: int = 1) -> inbox.Delivery:
    return inbox.Delivery(event_id, "welcome-email", attempt, datetime.now(UTC))


def _claim(database: Database, event_id: str, *, owes_effects: bool = False) -> bool:
    with database.transaction() as session:
        claimed = inbox.claim(session, _delivery(event_id))
        if owes_effects:
            inbox.owe_effects(session, event_id, "welcome-email")
        return claimed


def _entry(database: Database, event_id: str) -> inbox.Entry | None:
    with database.reading() as session:
        return inbox.look(session, event_id, "welcome-email")


def test_an_event_is_claimed_once(database: Database) -> None:
    event_id = str(uuid4())
    assert _entry(database, event_id) is None
    assert (True, False) == (_claim(database, event_id), _claim(database, event_id))
    assert inbox.Entry("handled", is_through=True) == _entry(database, event_id)


def test_a_failed_try_leaves_the_event_to_be_claimed(database: Database) -> None:
    event_id = str(uuid4())
    with database.transaction() as session:
        inbox.fail(session, _delivery(event_id), "ValueError: no", SOON)
        inbox.fail(session, _delivery(event_id, 2), "ValueError: still no", SOON)
    assert inbox.Entry("retrying", is_through=False) == _entry(database, event_id)
    with database.reading() as session:
        (row,) = inbox.of_event(session, event_id)
    assert ("ValueError: still no", 2) == (row.error, row.attempts)
    assert _claim(database, event_id)


def test_a_handler_that_is_through_stays_so_when_its_effects_fail(database: Database) -> None:
    event_id = str(uuid4())
    assert _claim(database, event_id, owes_effects=True)
    assert inbox.Entry("committed", is_through=True) == _entry(database, event_id)
    with database.transaction() as session:
        inbox.fail(session, _delivery(event_id, 2), "EffectFailed: 451", SOON)
    assert inbox.Entry("retrying", is_through=True) == _entry(database, event_id)
    assert not _claim(database, event_id)
    with database.transaction() as session:
        inbox.settle(session, event_id, "welcome-email")
    assert inbox.Entry("handled", is_through=True) == _entry(database, event_id)


def test_a_late_failure_does_not_reopen_what_is_handled(database: Database) -> None:
    event_id = str(uuid4())
    _claim(database, event_id)
    with database.transaction() as session:
        inbox.fail(session, _delivery(event_id), "too late", SOON)
    assert inbox.Entry("handled", is_through=True) == _entry(database, event_id)


def test_effects_are_owed_until_they_are_marked_sent(database: Database) -> None:
    event_id = str(uuid4())
    intents = [Intent(event_id, "sms", number, "mail", {"to": f"{number}"}, f"key{number}") for number in range(3)]
    with database.transaction() as session:
        effects.intend(session, intents, "me")
        effects.mark_sent(session, intents[1])
        effects.mark_failed(session, intents[2], "silence", unknown=True)
    with database.transaction() as session:
        assert [intents[0], intents[2]] == effects.take(session, event_id, "sms", "me")
    with database.reading() as session:
        states = [(row.state, row.error) for row in effects.of_event(session, event_id)]
    assert [("intended", None), ("sent", None), ("unknown", "silence")] == states


def test_effects_belong_to_the_process_that_began_them_until_it_fails_or_is_late(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent = Intent(str(uuid4()), "sms", 0, "mail", {}, "key")

    def take(owner: str) -> list[Intent]:
        with database.transaction() as session:
            return effects.take(session, intent.event_id, "sms", owner)

    with database.transaction() as session:
        effects.intend(session, [intent], "first")
    assert [intent] == take("first")
    with pytest.raises(Busy):
        take("second")
    with database.transaction() as session:
        effects.mark_failed(session, intent, "451", unknown=False)
    monkeypatch.setattr(effects, "LEASE", timedelta(0))
    assert [intent] == take("second")
    assert [intent] == take("third")  # the second one is late


def _subscription(*types: str, description: str = "") -> Subscription:
    return Subscription("sms", types, lambda event, context: None, description=description)


def test_a_consumer_is_recorded_once_and_its_changes_are_kept(database: Database) -> None:
    add(database, [registered()])
    publish(database, due(database))
    with database.transaction() as session:
        assert ["sms"] == consumers.declare(session, [_subscription("user.registered")])
    with database.transaction() as session:
        assert [] == consumers.declare(session, [_subscription("day.ended", description="Text them.")])
    with database.reading() as session:
        (row,) = consumers.declared(session)
    assert (["day.ended"], "Text them.", 1) == (row.types, row.description, row.since)
    assert [] == consumers.takers([row], "user.registered")


def test_a_consumer_of_everything_takes_every_type(database: Database) -> None:
    with database.transaction() as session:
        consumers.declare(session, [_subscription(EVERY_TYPE)])
        rows = consumers.declared(session)
    assert rows == consumers.takers(rows, "anything.happened")


def test_a_moment_is_found_among_the_positions_of_the_log(database: Database) -> None:
    """What was cleaned away leaves gaps, at the start and in the middle."""
    start = datetime(2026, 11, 22, tzinfo=UTC)
    kept = [(position, start + timedelta(minutes=position // 2)) for position in range(5, 60) if position % 7]
    with database.transaction() as session:
        rows = [
            {"position": each, "event_id": str(each), "type": "x", "body": "", "published_at": at} for each, at in kept
        ]
        session.connection().execute(insert(table(EventLog)), rows)
    for seconds in range(-60, 40 * 60, 30):
        moment = start + timedelta(seconds=seconds)
        before = [position for position, at in kept if at < moment]
        with database.reading() as session:
            found = event_log.position_at(session, moment)
        assert before == [position for position, _ in kept if position <= found]


def test_in_an_empty_log_no_position_is_before_any_moment(database: Database) -> None:
    with database.reading() as session:
        assert 0 == event_log.position_at(session, SOON)
