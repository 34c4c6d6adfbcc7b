"""What a backfill had sent and is lost on its way is sent again by the sweep, as what it is."""

from infra.database import backfills
from tests.eventlogs import fill
from tests.infra.recovery.conftest import Bench, ago
from tests.letters import resent
from tests.pasts import begin
from tests.relays import record


def sent(bench: Bench, most: int) -> None:
    """A new consumer's backfill, of which the relay has sent a part."""
    fill(bench.database, 40, at=ago(86_400))
    record(bench.database, "#", name="late")
    begin(bench.database, "late")
    with bench.database.transaction() as session:
        (one,) = backfills.to_send(session)
        part = backfills.next_slice(session, one, most)
        backfills.move(session, one, part.end, part.events, ago(5))


def test_of_a_queue_that_was_made_anew_what_was_sent_before_is_lost_and_keeps_its_mark(bench: Bench) -> None:
    sent(bench, 30)
    bench.made(ago(0), "late")
    found = bench.sweeping.sweep(bench.named("late"))
    assert (30, 30) == (found.lost, found.sent)
    assert [True] * 30 == [each.backfilled for each in resent(bench.database)]


def test_what_waits_in_the_queue_of_a_slow_consumer_is_left_alone_however_old(bench: Bench) -> None:
    sent(bench, 30)
    bench.seen_empty(ago(60), "late")
    assert 0 == bench.sweeping.sweep(bench.named("late")).lost


def test_live_events_that_are_lost_meanwhile_bear_no_mark(bench: Bench) -> None:
    sent(bench, 40)
    fill(bench.database, 45, 41, at=ago(3))
    bench.made(ago(0), "late")
    assert 45 == bench.sweeping.sweep(bench.named("late")).lost
    assert [False] * 5 == [each.backfilled for each in resent(bench.database)][-5:]
