"""Replays: what was given up goes to its one consumer again, and what is handled stays so unless it is forced."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from events.envelope import announce, decode, encode
from infra.database import effects, inbox, replays, resends
from infra.database.engine import Database
from infra.database.recovery_tables import Emptied, Resend
from infra.database.resends import Addressed
from infra.database.tables import table
from infra.effects import Intent
from tests.letters import BEGUN, CONSUMER, FAILED, dead, entry, found, handled, keep, letter, put, resent
from tests.relays import record, registered


@pytest.fixture(autouse=True)
def recorded(database: Database) -> None:
    """The consumer that all these letters are of."""
    record(database, "user.registered")


def begin(database: Database, *letter_ids: str, force: bool = False) -> int:
    with database.transaction() as session:
        return replays.begin(session, letter_ids, force=force)


def remove_all(database: Database) -> None:
    rows = resent(database)
    with database.transaction() as session:
        resends.remove(session, rows)


@pytest.mark.parametrize("state", ["waiting", "queued"])
def test_a_replay_sends_the_same_bytes_to_the_one_consumer_and_opens_the_inbox(database: Database, state: str) -> None:
    envelope = registered()
    one = letter(envelope)
    dead(database, envelope)
    (letter_id,) = keep(database, one)
    put(database, letter_id, state=state)
    begun_at = datetime.now(UTC)
    assert 1 == begin(database, letter_id)
    (row,) = resent(database)
    assert (CONSUMER, envelope.id, envelope.type, one.body, letter_id) == (
        row.consumer,
        row.event_id,
        row.type,
        row.body,
        row.dead_letter_id,
    )
    after = found(database, letter_id)
    assert ("replaying", 1) == (after.state, after.replays)
    assert after.replayed_at is not None
    assert begun_at <= after.replayed_at
    opened = entry(database, envelope)
    assert ("retrying", 0, BEGUN, None) == (opened.state, opened.attempts, opened.first_at, opened.handled_at)


@pytest.mark.parametrize("state", ["replaying", "handled", "discarded", "superseded"])
def test_what_does_not_wait_is_not_begun(database: Database, state: str) -> None:
    (letter_id,) = keep(database, letter(registered()))
    put(database, letter_id, state=state, replayed_at=FAILED, closed_at=FAILED)
    assert 0 == begin(database, letter_id, force=True)
    assert ([], state) == (resent(database), found(database, letter_id).state)


def test_what_another_delivery_handled_is_closed_and_not_sent(database: Database) -> None:
    through, failed = registered(), registered()
    handled(database, through)
    dead(database, failed)
    ids = keep(database, letter(through), letter(failed))
    put(database, ids[0], state="queued")
    assert 1 == begin(database, *ids)
    assert ["handled", "replaying"] == [found(database, each).state for each in ids]
    assert [failed.id] == [row.event_id for row in resent(database)]
    assert "handled" == entry(database, through).state


def test_force_lets_a_handled_event_run_again_with_its_effects(database: Database) -> None:
    envelope = registered()
    handled(database, envelope)
    with database.transaction() as session:
        effects.intend(session, [Intent(envelope.id, CONSUMER, 0, "mail", {}, "the-key")], "somebody")
    handled(database, envelope, "activity-log")
    (letter_id,) = keep(database, letter(envelope))
    assert 1 == begin(database, letter_id, force=True)
    opened = entry(database, envelope)
    assert ("retrying", None) == (opened.state, opened.handled_at)
    with database.reading() as session:
        assert [] == effects.of_event(session, envelope.id)
    assert "handled" == entry(database, envelope, "activity-log").state


def test_force_sends_an_event_without_its_causes_and_the_letter_keeps_them(database: Database) -> None:
    """What was held to be part of a loop would be held to be that again."""
    cause = registered()
    envelope = announce(cause.data, source="/test", cause=cause)
    (letter_id,) = keep(database, letter(envelope, reason="loop"))
    assert 1 == begin(database, letter_id)
    put(database, letter_id, state="waiting")
    assert [encode(envelope)] == [row.body for row in resent(database)]
    remove_all(database)
    assert 1 == begin(database, letter_id, force=True)
    assert [replace(envelope, causation_types=None)] == [decode(row.body) for row in resent(database)]
    assert encode(envelope) == found(database, letter_id).body


def test_a_handler_that_is_through_does_not_run_again_for_an_effect_that_failed(database: Database) -> None:
    envelope = registered()
    handled(database, envelope)
    with database.transaction() as session:
        inbox.owe_effects(session, envelope.id, CONSUMER)
        effects.intend(session, [Intent(envelope.id, CONSUMER, 0, "mail", {}, "the-key")], "somebody")
    dead(database, envelope)
    (letter_id,) = keep(database, letter(envelope))
    assert 1 == begin(database, letter_id)
    opened = entry(database, envelope)
    assert "retrying" == opened.state
    assert opened.handled_at is not None
    with database.reading() as session:
        assert ["the-key"] == [effect.key for effect in effects.of_event(session, envelope.id)]


def test_a_letter_whose_consumer_is_gone_stays_as_it_is(database: Database) -> None:
    (letter_id,) = keep(database, letter(registered(), consumer="gone"))
    assert 0 == begin(database, letter_id, force=True)
    assert ([], "waiting") == (resent(database), found(database, letter_id).state)


def test_bytes_that_are_no_event_go_again_too_each_for_itself(database: Database) -> None:
    """Both claim the same event id, which says nothing."""
    envelope = registered()
    dead(database, envelope)
    bodies = [b"\x00\xff not an event", b"another"]
    ids = keep(
        database,
        *(letter(envelope, key=f"{CONSUMER}#{n}", reason="not-json", body=body) for n, body in enumerate(bodies)),
        letter(registered(), key=f"{CONSUMER}#none", event_id=None, type=None, subject=None, body=b"third"),
    )
    assert 3 == begin(database, *ids)
    assert [(None, each) for each in [*bodies, b"third"]] == [(row.event_id, row.body) for row in resent(database)]
    assert "dead" == entry(database, envelope).state


def test_a_replay_of_what_the_sweep_sends_already_is_one_message_and_a_replay(database: Database) -> None:
    envelope = registered()
    (letter_id,) = keep(database, letter(envelope))
    swept = Addressed(CONSUMER, letter(envelope).body, envelope.id, envelope.type)
    with database.transaction() as session:
        assert (1, 0) == (resends.add(session, [swept]), resends.add(session, [swept]))
    (before,) = resent(database)
    begin(database, letter_id)
    (row,) = resent(database)
    assert letter_id == row.dead_letter_id
    with database.transaction() as session:
        resends.remove(session, [before])  # the relay had read and sent it before it became a replay
    assert [letter_id] == [row.dead_letter_id for row in resent(database)]
    with database.transaction() as session:
        assert 0 == resends.add(session, [swept])
    assert [letter_id] == [row.dead_letter_id for row in resent(database)]


def test_a_replay_that_a_program_of_the_version_before_made_of_it_meanwhile_is_sent(database: Database) -> None:
    """During a rolling deployment: that one does not count."""
    with database.transaction() as session:
        resends.add(session, [Addressed(CONSUMER, b"x", "one")])
    sent = resent(database)
    with database.transaction() as session:
        session.connection().execute(update(table(Resend)).values(dead_letter_id="two"))
        resends.remove(session, sent)
    assert ["two"] == [row.dead_letter_id for row in resent(database)]


def test_a_replay_with_force_of_what_the_sweep_sends_already_goes_without_its_causes(database: Database) -> None:
    with database.transaction() as session:
        resends.add(session, [Addressed(CONSUMER, b"with causes", "one")])
        resends.add(session, [Addressed(CONSUMER, b"without", "one", dead_letter_id="two")])
        resends.add(session, [Addressed(CONSUMER, b"with causes", "one")])
    assert [b"without"] == [row.body for row in resent(database)]


def test_what_is_asked_for_again_while_it_is_sent_is_sent_once_more(database: Database) -> None:
    """A consumer is quick: it may have acknowledged the message, and want it again, before the relay writes it down."""
    message = Addressed(CONSUMER, b"x", "one")
    with database.transaction() as session:
        resends.add(session, [message])
    sent = resent(database)
    with database.transaction() as session:
        assert 0 == resends.add(session, [message])
        resends.remove(session, sent)
    (again,) = resent(database)
    with database.transaction() as session:
        resends.remove(session, [again])
    assert [] == resent(database)


def test_a_letter_that_is_replayed_again_while_its_replay_is_sent_is_sent_once_more(database: Database) -> None:
    envelope = registered()
    dead(database, envelope)
    (letter_id,) = keep(database, letter(envelope))
    begin(database, letter_id)
    sent = resent(database)
    with database.transaction() as session:
        replays.refuse(session, letter_id, "It failed once more.")
    assert 1 == begin(database, letter_id)
    with database.transaction() as session:
        resends.remove(session, sent)
    assert [letter_id] == [row.dead_letter_id for row in resent(database)]


def test_a_replay_that_cannot_be_sent_waits_again_with_the_reason(database: Database) -> None:
    envelope = registered()
    dead(database, envelope)
    (letter_id,) = keep(database, letter(envelope))
    begin(database, letter_id)
    with database.transaction() as session:
        replays.refuse(session, letter_id, "It is too large.")
    row = found(database, letter_id)
    assert ("waiting", "It is too large.") == (row.state, row.error)
    assert "dead" == entry(database, envelope).state


def test_many_replays_are_begun_in_the_order_in_which_they_were_kept(database: Database) -> None:
    envelopes = [registered() for _ in range(250)]
    ids = keep(database, *(letter(each) for each in envelopes))
    assert 250 == begin(database, *ids)
    assert [each.id for each in envelopes] == [row.event_id for row in resent(database)]


def test_resends_are_taken_in_order_and_a_consumer_can_be_left_out(database: Database) -> None:
    with database.transaction() as session:
        messages = [Addressed(name, b"x", f"{name}-{n}") for n in range(3) for name in ("one", "two")]
        assert 6 == resends.add(session, messages)
    with database.reading() as session:
        assert 6 == resends.count(session)
        assert ["one-0", "two-0"] == [row.event_id for row in resends.waiting(session, 2)]
        assert ["two-0", "two-1"] == [row.event_id for row in resends.waiting(session, 2, without=["one"])]
    remove_all(database)
    assert [] == resent(database)


def bring_back(database: Database, now: datetime | None = None) -> list[str]:
    """Those that are brought back now, or half an hour later."""
    with database.transaction() as session:
        return replays.bring_back(session, now or datetime.now(UTC) + timedelta(minutes=30))


def lose(database: Database, queue: str) -> None:
    """Note that a queue was found missing just now."""
    with database.transaction() as session:
        session.connection().execute(insert(table(Emptied)), {"queue": queue, "at": datetime.now(UTC)})


@pytest.mark.parametrize("queue", [CONSUMER, "retry.10m", "dead-letters"])
def test_a_replay_that_was_lost_with_a_queue_waits_again(database: Database, queue: str) -> None:
    envelope = registered()
    (letter_id,) = keep(database, letter(envelope))
    begin(database, letter_id)
    assert [] == bring_back(database)  # it waits for the relay
    remove_all(database)
    assert [] == bring_back(database)  # it is in its queue
    lose(database, queue)
    assert [] == bring_back(database, datetime.now(UTC))  # not for long
    assert [letter_id] == bring_back(database)
    assert ("waiting", "dead") == (found(database, letter_id).state, entry(database, envelope).state)


def test_a_queue_of_another_consumer_costs_no_replay(database: Database) -> None:
    record(database, "#", name="activity-log")
    (letter_id,) = keep(database, letter(registered()))
    begin(database, letter_id)
    remove_all(database)
    lose(database, "activity-log")
    assert [] == bring_back(database)


def test_a_replay_that_is_being_retried_is_not_lost(database: Database) -> None:
    envelope = registered()
    (letter_id,) = keep(database, letter(envelope))
    begin(database, letter_id)
    remove_all(database)
    with database.transaction() as session:
        inbox.fail(
            session, inbox.Delivery(envelope.id, CONSUMER, 1, BEGUN), "no", datetime.now(UTC) + timedelta(minutes=31)
        )
    lose(database, CONSUMER)
    assert [] == bring_back(database)
    assert [letter_id] == bring_back(database, datetime.now(UTC) + timedelta(minutes=33))


def test_a_replay_that_never_ends_waits_again_after_the_longest_time(database: Database) -> None:
    (letter_id,) = keep(database, letter(registered()))
    begin(database, letter_id)
    remove_all(database)
    assert [] == bring_back(database, datetime.now(UTC) + replays.LONGEST - timedelta(minutes=1))
    assert [letter_id] == bring_back(database, datetime.now(UTC) + replays.LONGEST + timedelta(minutes=1))


def test_a_replay_that_another_delivery_overtook_is_closed(database: Database) -> None:
    envelope = registered()
    (letter_id,) = keep(database, letter(envelope))
    begin(database, letter_id)
    remove_all(database)
    handled(database, envelope)
    assert [] == bring_back(database)
    row = found(database, letter_id)
    assert ("handled", "handled by another delivery") == (row.state, row.closed_with)


def test_the_relay_is_woken_when_a_replay_is_committed(database: Database) -> None:
    woken: list[bool] = []
    database.on_outbox(lambda: woken.append(True))
    (letter_id,) = keep(database, letter(registered()))
    assert [] == woken
    begin(database, letter_id)
    assert [True] == woken
    begin(database, letter_id)
    assert [True] == woken
