"""What the sweep takes for lost, and what it leaves alone; the event at position n is `event-n`."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from infra.database.recovery_tables import Pause
from infra.database.tables import table
from infra.rabbitmq.topology import DEAD_LETTERS
from infra.recovery import sweeping
from infra.recovery.sweeping import MOST_WAITING, Sweeping, Swept
from tests.eventlogs import DAY, USER, event_id, fill, handle
from tests.infra.recovery.conftest import Bench, ago

NOTHING = Swept("sms")
OLD = 600


def lost(count: int) -> Swept:
    """All of these were sent."""
    return Swept("sms", lost=count, sent=count)


def test_what_is_handled_is_settled_and_leaves_nothing_behind(bench: Bench) -> None:
    fill(bench.database, 30, at=ago(OLD))
    handle(bench.database, "sms", 30)
    assert NOTHING == bench.sweep()
    assert (30, 30, 0, 0, 0.0) == (
        bench.row.scanned, bench.standing.settled, bench.standing.unsettled, bench.standing.lag_events,
        bench.standing.lag_seconds,
    )  # fmt: skip


def test_the_scan_stops_before_what_is_on_its_way_and_leaves_no_row_for_it(bench: Bench) -> None:
    fill(bench.database, 30, at=ago(1))
    handle(bench.database, "sms", 20)
    handle(bench.database, "sms", 30, 26)
    bench.seen_empty(ago(0))
    assert NOTHING == bench.sweep()
    assert (20, 20, 0, 5) == (
        bench.row.scanned, bench.standing.settled, bench.standing.unsettled, bench.standing.lag_events
    )  # fmt: skip


def test_a_long_backlog_is_not_sent_again(bench: Bench) -> None:
    fill(bench.database, 5_000, at=ago(OLD))
    bench.seen_empty(ago(OLD + 1))
    assert NOTHING == bench.sweep()
    assert (5_000, 0, 5_000, 5_000) == (
        bench.row.scanned, bench.standing.settled, bench.standing.unsettled, bench.standing.lag_events
    )  # fmt: skip
    assert OLD <= bench.standing.lag_seconds < OLD + 60


def test_a_backlog_that_is_being_worked_off_is_not_sent_again(bench: Bench) -> None:
    for part in range(50):
        fill(bench.database, part * 100 + 100, part * 100 + 1, at=ago(OLD + 100 - part * 2))
    for handled in (1_000, 2_000, 3_000):
        handle(bench.database, "sms", handled, handled - 999)
        assert NOTHING == bench.sweep()
    assert (3_000, 2_000) == (bench.standing.settled, bench.standing.lag_events)


def test_the_backlog_of_a_paused_consumer_is_not_sent_again(bench: Bench) -> None:
    fill(bench.database, 200, at=ago(OLD))
    handle(bench.database, "sms", 100)
    row = {"consumer": "sms", "by": "operator", "reason": "maintenance", "since": ago(OLD)}
    with bench.database.transaction() as session:
        session.connection().execute(insert(table(Pause)).values(row))
    assert NOTHING == bench.sweep()
    assert 100 == bench.standing.lag_events


def test_an_old_event_is_lost_when_its_queue_was_seen_empty_since_and_long_ago(bench: Bench) -> None:
    fill(bench.database, 3, at=ago(OLD))
    handle(bench.database, "sms", 2)
    bench.seen_empty(ago(90))
    assert lost(1) == bench.sweep()
    assert [event_id(3)] == bench.waiting()
    assert 1 == bench.standing.resent


def test_an_event_may_be_at_work_when_its_queue_was_seen_empty_only_now(bench: Bench) -> None:
    fill(bench.database, 3, at=ago(OLD))
    bench.seen_empty(ago(30))
    assert NOTHING == bench.sweep()


def test_a_consumer_that_may_work_longer_has_longer_patience(bench: Bench) -> None:
    patient = Sweeping(
        bench.database, bench.queues, grace=timedelta(seconds=60), patience=lambda _: timedelta(seconds=300)
    )
    fill(bench.database, 3, at=ago(OLD))
    bench.seen_empty(ago(90))
    assert NOTHING == patient.sweep(bench.row)
    bench.seen_empty(ago(301))
    assert 3 == patient.sweep(bench.row).sent


def test_a_queue_that_was_made_anew_has_lost_what_was_published_before_even_a_moment_ago(bench: Bench) -> None:
    fill(bench.database, 40, at=ago(5))
    handle(bench.database, "sms", 10)
    bench.made(ago(1))
    assert lost(30) == bench.sweep()
    assert [event_id(position) for position in range(11, 41)] == bench.waiting()
    assert NOTHING == bench.sweep()
    bench.relay()
    assert NOTHING == bench.sweep()


def test_what_was_published_after_a_queue_was_made_anew_waits_in_it(bench: Bench) -> None:
    fill(bench.database, 40, at=ago(OLD))
    bench.made(ago(OLD + 10))
    assert NOTHING == bench.sweep()


def test_what_was_recorded_a_moment_after_a_queue_was_made_anew_may_have_missed_it(bench: Bench) -> None:
    fill(bench.database, 2, at=ago(OLD))
    bench.made(ago(OLD + 1))
    assert lost(2) == bench.sweep()


def test_what_was_sent_again_before_a_queue_was_lost_once_more_is_sent_once_more(bench: Bench) -> None:
    fill(bench.database, 2, at=ago(5))
    bench.made(ago(3))
    assert lost(2) == bench.sweep()
    bench.relay()
    bench.made(ago(-0.1))
    assert lost(2) == bench.sweep()
    assert 4 == bench.standing.resent


def test_an_event_is_lost_when_what_was_published_much_later_has_been_given_out(bench: Bench) -> None:
    fill(bench.database, 10, at=ago(OLD))
    fill(bench.database, 1_000, 11, at=ago(OLD - 61))
    handle(bench.database, "sms", 5)
    bench.inbox(1_000, "retrying", failed_at=ago(1), retry_at=ago(-9))
    assert lost(5) == bench.sweep()
    assert [event_id(position) for position in range(6, 11)] == bench.waiting()


def test_an_event_is_not_lost_because_a_little_later_one_was_quicker(bench: Bench) -> None:
    fill(bench.database, 10, at=ago(OLD))
    fill(bench.database, 20, 11, at=ago(OLD - 50))
    handle(bench.database, "sms", 20, 11)
    assert NOTHING == bench.sweep()


def test_what_slipped_by_is_found_though_a_backlog_waits_behind_it(bench: Bench) -> None:
    fill(bench.database, 100, at=ago(OLD))
    fill(bench.database, 2_000, 101, at=ago(OLD - 200))
    handle(bench.database, "sms", 1_000, 101)
    assert lost(100) == bench.sweep()


def retrying() -> dict[str, Any]:
    """One that failed 20 s ago and comes back in 10 s."""
    return {"failed_at": ago(20), "retry_at": ago(-10)}


def test_what_waits_in_a_tier_is_left_alone(bench: Bench) -> None:
    fill(bench.database, 1, at=ago(OLD))
    bench.inbox(1, "retrying", **retrying())
    bench.seen_empty(ago(90))
    assert NOTHING == bench.sweep()


@pytest.mark.parametrize(
    ("tier", "when", "count"), [("retry.30s", 5, 1), ("retry.30s", 25, 0), ("retry.5s", 5, 0), ("retry.2m", 5, 0)]
)
def test_what_waits_in_a_tier_is_lost_when_that_very_tier_was_made_anew_since(
    bench: Bench, tier: str, when: float, count: int
) -> None:
    fill(bench.database, 1, at=ago(30))
    bench.inbox(1, "retrying", **retrying())
    bench.made(ago(when), tier)
    assert count == bench.sweep().sent


@pytest.mark.parametrize(("made", "seen", "count"), [(50, None, 1), (90, None, 0), (None, 61, 1), (None, 90, 0)])
def test_what_has_come_back_from_its_tier_is_lost_with_its_queue(
    bench: Bench, made: float | None, seen: float | None, count: int
) -> None:
    fill(bench.database, 1, at=ago(OLD))
    bench.inbox(1, "retrying", failed_at=ago(110), retry_at=ago(80))
    if made is not None:
        bench.made(ago(made))
    if seen is not None:
        bench.seen_empty(ago(seen))
    assert count == bench.sweep().sent


def test_a_dead_event_is_settled_once_there_is_a_letter_of_it(bench: Bench) -> None:
    fill(bench.database, 2, at=ago(OLD))
    bench.inbox(1, "dead", failed_at=ago(OLD))
    bench.keep(1)
    bench.keep(2)  # given up by the broker, so that the inbox never heard of it
    bench.seen_empty(ago(90))
    bench.seen_empty(ago(90), DEAD_LETTERS)
    assert NOTHING == bench.sweep()
    assert (2, 0) == (bench.standing.settled, bench.standing.lag_events)


def test_a_dead_event_without_a_letter_waits_in_the_dead_letters(bench: Bench) -> None:
    fill(bench.database, 1, at=ago(OLD))
    bench.inbox(1, "dead", failed_at=ago(200))
    bench.seen_empty(ago(90))
    assert NOTHING == bench.sweep()


def test_a_dead_event_without_a_letter_is_lost_when_the_dead_letters_were_made_anew(bench: Bench) -> None:
    fill(bench.database, 2, at=ago(30))
    bench.inbox(1, "dead", failed_at=ago(20))
    bench.inbox(2, "dead", failed_at=ago(5))
    bench.made(ago(10), DEAD_LETTERS)
    assert [event_id(1)] == (bench.sweep() and bench.waiting())


def test_a_dead_event_without_a_letter_is_lost_when_the_dead_letters_were_seen_empty_long_ago(bench: Bench) -> None:
    fill(bench.database, 1, at=ago(OLD))
    bench.inbox(1, "dead", failed_at=ago(200))
    bench.seen_empty(ago(90), DEAD_LETTERS)
    assert lost(1) == bench.sweep()


def test_an_event_whose_effects_are_owed_is_not_settled(bench: Bench) -> None:
    fill(bench.database, 1, at=ago(OLD))
    bench.inbox(1, "committed", handled_at=ago(200))
    assert NOTHING == bench.sweep()
    assert 1 == bench.standing.lag_events
    bench.seen_empty(ago(90))
    assert lost(1) == bench.sweep()


def test_what_was_sent_again_and_is_not_settled_is_sent_once_more_only_when_it_is_lost_again(bench: Bench) -> None:
    fill(bench.database, 1, at=ago(OLD))
    bench.seen_empty(ago(90))
    assert lost(1) == bench.sweep()
    bench.relay()
    assert NOTHING == bench.sweep()


def test_a_row_goes_when_its_event_is_settled_at_last(bench: Bench) -> None:
    fill(bench.database, 300, at=ago(OLD))
    bench.sweep()
    assert 300 == bench.standing.unsettled
    handle(bench.database, "sms", 299)
    bench.sweep()
    assert (1, 299, 1) == (bench.standing.unsettled, bench.standing.settled, bench.standing.lag_events)


def test_many_are_sent_in_portions(bench: Bench) -> None:
    fill(bench.database, MOST_WAITING * 2 + 500, at=ago(OLD))
    bench.made(ago(0))
    assert Swept("sms", 2_500, MOST_WAITING, more=True) == bench.sweeping.sweep(bench.row)
    assert Swept("sms", more=True) == bench.sweeping.sweep(bench.row)
    bench.relay()
    assert Swept("sms", 1_500, MOST_WAITING, more=True) == bench.sweeping.sweep(bench.row)
    bench.relay()
    assert lost(500) == bench.sweeping.sweep(bench.row)
    assert 2_500 == bench.standing.resent


def test_the_scan_waits_while_it_has_left_much_behind(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "MOST_UNSETTLED", 50)
    monkeypatch.setattr(sweeping, "SLICE", 20)
    fill(bench.database, 200, at=ago(OLD))
    bench.sweep()
    assert (60, 60, 200) == (bench.row.scanned, bench.standing.unsettled, bench.standing.lag_events)
    handle(bench.database, "sms", 200)
    bench.sweep()
    bench.sweep()
    assert (200, 0) == (bench.row.scanned, bench.standing.unsettled)


def test_a_consumer_of_some_types_is_swept_over_those_alone(bench: Bench) -> None:
    bench.record(DAY)
    fill(bench.database, 100, at=ago(OLD))
    bench.seen_empty(ago(90))
    assert lost(10) == bench.sweep()
    assert (100, 9, 10) == (bench.row.scanned, bench.standing.settled, bench.standing.lag_events)


def test_what_is_not_for_the_consumer_any_more_is_forgotten(bench: Bench) -> None:
    fill(bench.database, 10, at=ago(OLD))
    bench.sweep()
    bench.record(USER)
    bench.seen_empty(ago(90))
    assert 9 == bench.sweep().sent
    assert 9 == bench.standing.unsettled


def test_a_dry_run_finds_and_sends_nothing(bench: Bench) -> None:
    fill(bench.database, 10, at=ago(OLD))
    bench.seen_empty(ago(90))
    assert Swept("sms", lost=10) == bench.sweep(dry_run=True)
    assert [] == bench.waiting()


def test_two_that_sweep_at_once_send_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bench.database, 10, at=ago(OLD))
    bench.seen_empty(ago(90))
    send, other = Sweeping._send, list[Swept]()

    def meanwhile(*arguments: Any) -> int:
        monkeypatch.setattr(Sweeping, "_send", send)
        other.append(bench.sweeping.sweep(bench.row))
        bench.relay()
        return send(*arguments)

    monkeypatch.setattr(Sweeping, "_send", meanwhile)
    found = bench.sweeping.sweep(bench.row)
    assert ([lost(10)], 0, []) == (other, found.sent, bench.waiting())
