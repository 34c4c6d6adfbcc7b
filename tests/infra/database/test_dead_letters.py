"""The dead letters: one row for each event and consumer, and the views of them that operators need."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.database import dead_letters, effects, inbox
from infra.database.engine import Database
from infra.database.letters import Filter, Letter
from infra.database.recovery_tables import DeadLetter
from infra.effects import Intent
from tests.letters import BEGUN, CONSUMER, FAILED, dead, entry, found, handled, keep, kept, letter, put
from tests.relays import heartbeat, record, registered

LATER = FAILED + timedelta(minutes=1)


def again(one: Letter, **other: Any) -> Letter:
    """The same event, given up once more for another cause."""
    values: dict[str, Any] = {"error": "TimeoutError: ", "exception": "TimeoutError", "attempts": 5}
    return replace(one, **values | other)


def page(database: Database, **wanted: Any) -> list[DeadLetter]:
    options = {name: wanted.pop(name) for name in ("before", "limit") if name in wanted}
    with database.reading() as session:
        return dead_letters.page(session, Filter(**wanted), **options)


def groups(database: Database, **options: Any) -> list[dead_letters.Group]:
    with database.reading() as session:
        return dead_letters.groups(session, Filter(), **options)


def test_a_letter_is_kept_as_it_came_and_waits(database: Database) -> None:
    one = letter(registered())
    (letter_id,) = keep(database, one)
    row = found(database, letter_id)
    assert ("waiting", 0, None, None) == (row.state, row.replays, row.closed_at, row.operation_id)
    names = [name for name in Letter.__slots__ if name != "is_replay"]
    assert {name: getattr(one, name) for name in names} == {name: getattr(row, name) for name in names}
    assert one.fingerprint == row.fingerprint


def test_an_event_that_a_consumer_gives_up_twice_is_one_letter_with_the_newest_failure(database: Database) -> None:
    one = letter(registered())
    first, second = keep(database, one), keep(database, again(one, last_failed_at=LATER, first_failed_at=FAILED))
    assert first == second
    (row,) = kept(database)
    assert ("TimeoutError", 5, BEGUN, LATER) == (row.exception, row.attempts, row.first_failed_at, row.last_failed_at)


def test_two_consumers_of_an_event_have_a_letter_each(database: Database) -> None:
    envelope = registered()
    keep(database, letter(envelope), letter(envelope, consumer="activity-log"))
    assert {CONSUMER, "activity-log"} == {row.consumer for row in kept(database)}


def test_a_letter_that_is_delivered_twice_to_the_keeper_changes_nothing(database: Database) -> None:
    one = letter(registered(), is_replay=True)
    (letter_id,) = keep(database, one)
    before = found(database, letter_id)
    for state in ("waiting", "replaying", "handled"):
        put(database, letter_id, state=state, replayed_at=LATER, closed_at=LATER)
        keep(database, one)
        after = found(database, letter_id)
        assert (state, before.attempts, before.error) == (after.state, after.attempts, after.error)


@pytest.mark.parametrize("state", ["handled", "discarded", "superseded"])
def test_a_closed_letter_is_opened_by_a_newer_failure_and_by_no_older_one(database: Database, state: str) -> None:
    one = letter(registered())
    (letter_id,) = keep(database, one)
    put(database, letter_id, state=state, closed_at=LATER, closed_with="why")
    keep(database, again(one, last_failed_at=LATER - timedelta(seconds=1)))
    assert (state, LATER, "why") == _closing(found(database, letter_id))
    keep(database, again(one, last_failed_at=LATER + timedelta(seconds=1)))
    assert ("waiting", None, None) == _closing(found(database, letter_id))


def test_a_replay_that_fails_waits_again_and_its_tries_are_added(database: Database) -> None:
    one = letter(registered())
    (letter_id,) = keep(database, one)
    put(database, letter_id, state="replaying", replays=1, replayed_at=LATER)
    keep(database, again(one, last_failed_at=LATER + timedelta(minutes=1), attempts=2, is_replay=True))
    row = found(database, letter_id)
    assert ("waiting", 5, 1, "TimeoutError") == (row.state, row.attempts, row.replays, row.exception)


def test_a_replay_that_fails_by_a_clock_that_is_behind_waits_again_too(database: Database) -> None:
    one = letter(registered())
    (letter_id,) = keep(database, one)
    put(database, letter_id, state="replaying", replayed_at=LATER)
    keep(database, again(one, last_failed_at=LATER - timedelta(seconds=3), is_replay=True))
    assert "waiting" == found(database, letter_id).state


def test_a_late_copy_of_an_earlier_failure_does_not_end_a_replay(database: Database) -> None:
    one = letter(registered())
    (letter_id,) = keep(database, one)
    put(database, letter_id, state="replaying", replayed_at=LATER)
    keep(database, again(one, last_failed_at=FAILED + timedelta(seconds=1), attempts=4))
    row = found(database, letter_id)
    assert ("replaying", 4) == (row.state, row.attempts)


def test_a_queued_letter_stays_queued_for_its_operation(database: Database) -> None:
    one = letter(registered())
    (letter_id,) = keep(database, one)
    put(database, letter_id, state="queued", operation_id="an operation")
    keep(database, again(one, last_failed_at=LATER))
    row = found(database, letter_id)
    assert ("queued", "an operation") == (row.state, row.operation_id)


def test_a_replay_that_ends_well_closes_its_letter_and_no_other_consumers(database: Database) -> None:
    (letter_id,) = keep(database, letter(registered()))
    put(database, letter_id, state="replaying", replayed_at=LATER)
    with database.transaction() as session:
        dead_letters.close_handled(session, letter_id, consumer="activity-log")
    assert "replaying" == found(database, letter_id).state
    with database.transaction() as session:
        dead_letters.close_handled(session, letter_id, consumer=CONSUMER)
    row = found(database, letter_id)
    assert ("handled", "its replay was handled") == (row.state, row.closed_with)
    assert row.closed_at is not None


def test_what_is_closed_is_not_closed_again(database: Database) -> None:
    (letter_id,) = keep(database, letter(registered()))
    put(database, letter_id, state="discarded", closed_at=LATER, closed_with="a test user")
    with database.transaction() as session:
        dead_letters.close_handled(session, letter_id, consumer=CONSUMER)
    assert ("discarded", LATER, "a test user") == _closing(found(database, letter_id))


def test_what_was_handled_by_another_way_is_closed_and_the_rest_is_not(database: Database) -> None:
    through, not_through = registered(), registered()
    ids = keep(database, letter(through), letter(not_through), letter(through, consumer="other"))
    handled(database, through)
    dead(database, not_through)
    with database.transaction() as session:
        dead_letters.close_already_handled(session, ids)
    assert ["handled", "waiting", "waiting"] == [found(database, each).state for each in ids]


def test_bytes_that_only_claim_to_be_an_event_are_not_closed_when_that_event_is_handled(database: Database) -> None:
    envelope = registered()
    handled(database, envelope)
    ids = keep(database, letter(envelope, key=f"{CONSUMER}#a-hash", reason="not-json", body=b"{"))
    with database.transaction() as session:
        dead_letters.close_already_handled(session, ids)
    assert ["waiting"] == [found(database, each).state for each in ids]


def tell_inbox(database: Database, *letter_ids: str) -> None:
    with database.transaction() as session:
        dead_letters.tell_inbox(session, letter_ids)


def test_the_inbox_learns_of_what_no_delivery_wrote_down(database: Database) -> None:
    record(database, "user.registered")
    unknown, retrying = registered(), registered()
    with database.transaction() as session:
        inbox.fail(session, inbox.Delivery(retrying.id, CONSUMER, 1, BEGUN), "before", LATER)
    tell_inbox(database, *keep(database, letter(unknown), letter(retrying)))
    for envelope in (unknown, retrying):
        row = entry(database, envelope)
        assert ("dead", 3, BEGUN, letter(envelope).error, None) == (
            row.state,
            row.attempts,
            row.first_at,
            row.error,
            row.retry_at,
        )


def test_the_inbox_keeps_what_it_knows_better(database: Database) -> None:
    record(database, "user.registered")
    through, told, coming = registered(), registered(), registered()
    handled(database, through)
    dead(database, told)
    ids = keep(database, letter(through), letter(told), letter(coming))
    put(database, ids[2], state="replaying")
    with database.transaction() as session:
        inbox.fail(session, inbox.Delivery(coming.id, CONSUMER, 1, BEGUN), "before", LATER)
    tell_inbox(database, *ids)
    assert ["handled", "dead", "retrying"] == [entry(database, each).state for each in (through, told, coming)]
    assert "no such mailbox" == entry(database, told).error


def test_the_inbox_is_not_told_of_nobodys_letters_nor_of_what_is_no_event(database: Database) -> None:
    record(database, "user.registered")
    envelope, other = registered(), registered()
    no_event = letter(envelope, key=f"{CONSUMER}#a-hash", reason="not-json", body=b"{")
    tell_inbox(database, *keep(database, no_event, letter(other, consumer="unknown")))
    with database.reading() as session:
        assert [] == [*inbox.of_event(session, envelope.id), *inbox.of_event(session, other.id)]


def test_pages_go_from_the_last_kept_to_the_first_without_a_gap(database: Database) -> None:
    ids = keep(database, *(letter(registered()) for _ in range(7)))
    first = page(database, limit=3)
    second = page(database, limit=3, before=first[-1].id)
    third = page(database, limit=3, before=second[-1].id)
    assert ids[::-1] == [row.id for row in (*first, *second, *third)]
    assert {b""} == {row.body for row in first}


def test_each_filter_chooses_what_it_says(database: Database) -> None:
    ada, tick = registered(), heartbeat(datetime.now(UTC))
    one = letter(ada)
    two = letter(tick, consumer="activity-log", reason="too-old", exception=None, frame=None, last_failed_at=LATER)
    first, second = keep(database, one, two)
    put(database, second, state="discarded", closed_at=LATER, closed_with="x")
    chosen: dict[str, dict[str, Any]] = {
        first: {"consumer": CONSUMER, "type": "user.registered", "reason": "handler-error", "subject": ada.subject}
        | {"exception": "SMTPRecipientsRefused", "fingerprint": one.fingerprint, "event_id": ada.id}
        | {"until": LATER, "states": ("waiting", "queued")},
        second: {"consumer": "activity-log", "type": tick.type, "reason": "too-old", "event_id": tick.id}
        | {"since": LATER, "states": ("discarded",), "fingerprint": two.fingerprint},
    }
    for expected, wanted in chosen.items():
        for name, value in wanted.items():
            assert [expected] == [row.id for row in page(database, **{name: value})], name
    assert [first] == [row.id for row in page(database, exception="smtplib.SMTPRecipientsRefused")]
    assert [] == page(database, exception="RecipientsRefused")
    assert [] == page(database, exception="smtplib_SMTPRecipientsRefused")
    assert [second, first] == [row.id for row in page(database)]


def test_letters_with_the_same_cause_are_one_group_whatever_the_line(database: Database) -> None:
    frames = ["consumers/welcome_email.py:12 in welcome", "consumers/welcome_email.py:40 in welcome"]
    ids = keep(database, *(letter(registered(), frame=frame) for frame in frames))
    (last,) = keep(database, letter(registered(), exception="KeyError", last_failed_at=LATER, reason="too-old"))
    newest, older = groups(database)
    assert (1, last, "KeyError", "too-old", LATER) == _shown(newest)
    assert (2, ids[-1], "smtplib.SMTPRecipientsRefused", "handler-error", FAILED) == _shown(older)
    assert (CONSUMER, frames[1], BEGUN) == (older.consumer, older.frame, older.first_at)


def test_groups_come_in_pages_too(database: Database) -> None:
    times = [FAILED + timedelta(seconds=number // 2) for number in range(6)]
    keep(database, *(letter(registered(), exception=f"E{n}", last_failed_at=at) for n, at in enumerate(times)))
    everything = groups(database)
    assert 6 == len(everything)
    paged, cursor = [], None
    while part := groups(database, limit=2, before=cursor):
        paged += part
        cursor = part[-1].cursor
    assert everything == paged


def test_a_preview_counts_what_would_run_what_is_handled_and_which_effects_would_repeat(database: Database) -> None:
    record(database, "user.registered")
    runs, through, gone = registered(), registered(), registered()
    ids = keep(database, letter(runs), letter(through), letter(gone, consumer="gone"), letter(registered()))
    put(database, ids[3], state="replaying")
    handled(database, through)
    with database.transaction() as session:
        intents = [Intent(through.id, CONSUMER, number, "mail", {}, f"key-{number}") for number in range(2)]
        intend(session, intents)
    with database.reading() as session:
        preview = dead_letters.preview(session, Filter())
    assert (3, 1, 1, 1, {CONSUMER: 1}) == (
        preview.total,
        preview.would_run,
        preview.already_handled,
        preview.effects,
        preview.by_consumer,
    )


def test_a_preview_of_nothing_is_all_zeros(database: Database) -> None:
    with database.reading() as session:
        preview = dead_letters.preview(session, Filter(consumer="nobody"))
    assert (0, 0, 0, 0, {}) == (
        preview.total,
        preview.would_run,
        preview.already_handled,
        preview.effects,
        preview.by_consumer,
    )


def intend(session: Any, intents: list[Intent]) -> None:
    """Intend effects, of which the first has happened."""
    effects.intend(session, intents, "somebody")
    effects.mark_sent(session, intents[0])


def _closing(row: DeadLetter) -> tuple[str, datetime | None, str | None]:
    return row.state, row.closed_at, row.closed_with


def _shown(group: dead_letters.Group) -> tuple[int, str, str | None, str, datetime]:
    return group.count, group.sample, group.exception, group.reason, group.last_at
