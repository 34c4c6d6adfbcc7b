"""Ordered consumers: events of one subject take effect in the order of the log, and nothing waits for ever."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Thread
from uuid import uuid4

import pytest

from events.envelope import Envelope, announce, decode
from events.users import UserRegistered
from infra.database import dead_letters, emptied, inbox, outbox, replays, turns
from infra.database.consumer_tables import Backfill
from infra.database.engine import Database
from infra.database.recovery_tables import Operation
from infra.database.tables import Subscription, table
from infra.errors import EffectRefused
from infra.outcomes import Done, Hold, Park, PassedOver, RetryLater
from infra.recovery.discarding import discard
from tests import given_up
from tests.ordered import LEDGER, Ordered, ids

ADA, BEN = uuid4(), uuid4()
_SUBSCRIPTION, _OPERATION, _BACKFILL = table(Subscription), table(Operation), table(Backfill)


@pytest.fixture
def ordered(database: Database) -> Ordered:
    return Ordered(database)


def keep_letter(database: Database, envelope: Envelope) -> str:
    """Have the keeper keep what was given up."""
    with database.transaction() as session:
        return dead_letters.keep(session, given_up.letter(envelope, consumer=LEDGER))


def replay_after_they_died(ordered: Ordered, *envelopes: Envelope) -> list[str]:
    """Have these fail for good, and their replays be on their way; gives their letters."""
    letters = []
    for each in envelopes:
        ordered.deliver(each, fails=EffectRefused("no"))
        letters.append(keep_letter(ordered.database, each))
    with ordered.database.transaction() as session:
        replays.begin(session, letters)
    ordered.resent()
    return letters


def test_an_event_whose_turn_has_come_is_handled_at_once(ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    assert [Done(), Done()] == [ordered.deliver(first), ordered.deliver(second)]
    assert (ids([first, second]), []) == (ordered.handled, ordered.waits(ADA))


def test_an_event_waits_while_an_earlier_one_of_its_subject_retries_and_others_flow(ordered: Ordered) -> None:
    first, second, other = ordered.log(ADA, ADA, BEN)
    assert isinstance(ordered.deliver(first, fails=ConnectionError("away")), RetryLater)
    assert [PassedOver(), Done()] == [ordered.deliver(second), ordered.deliver(other)]
    assert ([second.id], [other.id], None) == (ordered.waits(ADA), ordered.handled, ordered.state(second))


def test_what_waits_is_sent_again_when_the_earlier_one_ends(ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    ordered.deliver(first, fails=ConnectionError("away"))
    ordered.deliver(second)
    assert [] == ordered.resent()
    assert Done() == ordered.deliver(first, attempt=2)
    assert ([(LEDGER, second.id)], []) == (
        [(row.consumer, row.event_id) for row in ordered.resent()],
        ordered.waits(ADA),
    )
    assert Done() == ordered.deliver(second)
    assert ids([first, second]) == ordered.handled


def test_a_later_event_that_comes_first_waits(ordered: Ordered) -> None:
    first, second, third = ordered.log(ADA, ADA, ADA)
    assert [PassedOver(), PassedOver(), Done()] == [ordered.deliver(each) for each in (third, second, first)]
    assert ids([second, third]) == [row.event_id for row in ordered.resent()]


def test_a_dead_event_lets_its_subject_go_on(ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    ordered.deliver(first, fails=ConnectionError("away"))
    ordered.deliver(second)
    assert isinstance(ordered.deliver(first, attempt=6, fails=ConnectionError("away")), Park)
    assert [second.id] == [row.event_id for row in ordered.resent()]
    assert Done() == ordered.deliver(second)


def test_an_event_whose_effects_are_owed_keeps_the_next_one_waiting(ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    with ordered.database.transaction() as session:
        inbox.claim(session, inbox.Delivery(first.id, LEDGER, 1, datetime.now(UTC), ordered=True), owes_effects=True)
    assert PassedOver() == ordered.deliver(second)
    assert Done() == ordered.deliver(first, redelivered=True)
    assert [second.id] == [row.event_id for row in ordered.resent()]


def test_a_copy_of_what_is_handled_lets_go_what_a_crash_left_waiting(ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    ordered.deliver(second)
    with ordered.database.transaction() as session:
        inbox.claim(session, inbox.Delivery(first.id, LEDGER, 1, datetime.now(UTC), ordered=True))
    assert Done() == ordered.deliver(first, redelivered=True)
    assert [second.id] == [row.event_id for row in ordered.resent()]


def test_a_late_copy_of_a_dead_event_is_not_handled(ordered: Ordered) -> None:
    """The next one of its subject may be handled by now."""
    (first,) = ordered.log(ADA)
    assert isinstance(ordered.deliver(first, fails=EffectRefused("no")), Park)
    given_up_again = ordered.deliver(first, redelivered=True)
    assert isinstance(given_up_again, Park)
    assert "no" in given_up_again.error
    keep_letter(ordered.database, first)
    assert (PassedOver(), []) == (ordered.deliver(first, attempt=2), ordered.handled)


def test_an_event_that_was_given_up_while_it_was_at_work_leaves_no_trace(ordered: Ordered) -> None:
    """As by an operator who skips it, or a second copy whose last try failed."""
    (first,) = ordered.log(ADA)

    def handle(event: UserRegistered, context: object) -> None:
        with ordered.database.transaction() as session:
            inbox.fail(session, inbox.Delivery(first.id, LEDGER, 1, datetime.now(UTC), ordered=True), "gone", None)

    object.__setattr__(ordered.subscription, "handler", handle)
    assert (PassedOver(), "dead") == (ordered.deliver(first), ordered.state(first))


def test_a_failure_does_not_open_what_is_dead(ordered: Ordered) -> None:
    (first,) = ordered.log(ADA)
    delivery = inbox.Delivery(first.id, LEDGER, 1, datetime.now(UTC), ordered=True)
    with ordered.database.transaction() as session:
        inbox.fail(session, delivery, "gone", None)
        inbox.fail(session, delivery, "late", datetime.now(UTC))
    assert "dead" == ordered.state(first)


def test_a_replay_keeps_later_events_of_its_subject_waiting(ordered: Ordered) -> None:
    first, second, third = ordered.log(ADA, ADA, ADA)
    ordered.deliver(first, fails=EffectRefused("no"))
    letter = keep_letter(ordered.database, first)
    assert Done() == ordered.deliver(second)
    with ordered.database.transaction() as session:
        assert 1 == replays.begin(session, [letter])
    assert PassedOver() == ordered.deliver(third)
    assert [first.id] == [row.event_id for row in ordered.resent()]
    assert Done() == ordered.deliver(first, replay=True, dead_letter=letter)
    assert ([third.id], "handled") == (
        [row.event_id for row in ordered.resent()],
        given_up.find(ordered.database, letter).state,
    )
    assert Done() == ordered.deliver(third)


def test_a_replay_that_has_to_wait_is_a_replay_when_its_turn_comes(ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    letters = replay_after_they_died(ordered, first, second)
    assert PassedOver() == ordered.deliver(second, replay=True, dead_letter=letters[1])
    assert "replaying" == given_up.find(ordered.database, letters[1]).state
    assert Done() == ordered.deliver(first, replay=True, dead_letter=letters[0])
    assert [(second.id, letters[1])] == [(row.event_id, row.dead_letter_id) for row in ordered.resent()]


def test_a_replay_that_waits_for_its_turn_is_not_lost_with_its_queue(ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    letters = replay_after_they_died(ordered, first, second)
    assert PassedOver() == ordered.deliver(second, replay=True, dead_letter=letters[1])
    with ordered.database.transaction() as session:
        emptied.note(session, {LEDGER: datetime.now(UTC)})
    with ordered.database.transaction() as session:
        assert letters[:1] == replays.bring_back(session, datetime.now(UTC) + timedelta(seconds=90))


def test_a_forced_replay_that_has_to_wait_is_no_loop_when_its_turn_comes(ordered: Ordered) -> None:
    first, second = (
        announce(UserRegistered(user_id=ADA, name="Ada", email="a@b.com"), source="/test") for _ in range(2)
    )
    second = replace(second, causation_types=f"{UserRegistered.TYPE}*9")
    with ordered.database.transaction() as session:
        outbox.add_all(session, [(first, None), (second, None)])
    ordered.move()
    ordered.deliver(first, fails=ConnectionError("away"))
    assert isinstance(ordered.deliver(second), Park)
    letter = keep_letter(ordered.database, second)
    with ordered.database.transaction() as session:
        dead_letters.tell_inbox(session, [letter])
        replays.begin(session, [letter], force=True)
    (sent,) = ordered.resent()
    assert PassedOver() == ordered.deliver(decode(sent.body), replay=True, dead_letter=letter)
    assert Done() == ordered.deliver(first, attempt=2)
    (again,) = ordered.resent()
    assert Done() == ordered.deliver(decode(again.body), replay=True, dead_letter=letter)


def test_a_replay_that_is_discarded_keeps_nobody_waiting(ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    ordered.deliver(first, fails=EffectRefused("no"))
    letter = keep_letter(ordered.database, first)
    with ordered.database.transaction() as session:
        replays.begin(session, [letter])
    ordered.resent()
    assert PassedOver() == ordered.deliver(second)
    with ordered.database.transaction() as session:
        discard(session, letter, who="me", why="no use")
    assert [second.id] == [row.event_id for row in ordered.resent()]
    assert PassedOver() == ordered.deliver(first, replay=True, dead_letter=letter)


def test_an_event_that_is_not_in_the_log_yet_is_held_until_it_is(ordered: Ordered) -> None:
    (first,) = ordered.announce(ADA)
    assert isinstance(ordered.deliver(first), Hold)
    ordered.move()
    assert Done() == ordered.deliver(first)


def test_an_event_that_never_went_through_the_outbox_has_no_order(ordered: Ordered) -> None:
    ordered.log(ADA)
    foreign = announce(UserRegistered(user_id=ADA, name="Eve", email="e@f.com"), source="/elsewhere")
    assert Done() == ordered.deliver(foreign)


def test_events_from_before_the_consumers_time_do_not_count(ordered: Ordered) -> None:
    _, second = ordered.log(ADA, ADA)
    ordered.scan(1, since=1)
    assert Done() == ordered.deliver(second)


def test_below_the_scanned_position_what_was_left_behind_counts(ordered: Ordered) -> None:
    _, second, third = ordered.log(ADA, ADA, ADA)
    ordered.scan(2, second)
    assert [PassedOver(), Done()] == [ordered.deliver(third), ordered.deliver(second)]
    assert [third.id] == [row.event_id for row in ordered.resent()]


@pytest.mark.parametrize("left", [0, 250, 449])
def test_of_a_long_history_the_one_that_was_left_behind_is_found(ordered: Ordered, left: int) -> None:
    events = ordered.log(*[ADA] * 451)
    ordered.scan(450, events[left])
    ordered.restart()
    assert PassedOver() == ordered.deliver(events[450])
    assert Done() == ordered.deliver(events[left])
    assert Done() == ordered.deliver(events[450])


def test_many_that_wait_are_let_go_in_portions_and_in_order(ordered: Ordered) -> None:
    events = ordered.log(*[ADA] * 120)
    ordered.deliver(events[0], fails=ConnectionError("away"))
    for each in events[1:]:
        assert PassedOver() == ordered.deliver(each)
    by_id = {each.id: each for each in events}
    assert Done() == ordered.deliver(events[0], attempt=2)
    while sent := ordered.resent():
        for row in sent:
            assert Done() == ordered.deliver(by_id[str(row.event_id)])
    assert (ids(events), []) == (ordered.handled, ordered.waits(ADA))


def test_whoever_is_at_work_elsewhere_is_waited_for_shortly(ordered: Ordered, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = ordered.log(ADA, ADA)
    other = Ordered(ordered.database)
    looked: list[float] = []

    def pause(seconds: float) -> None:
        looked.append(seconds)
        if len(looked) == 2:
            assert Done() == other.deliver(first)

    monkeypatch.setattr(ordered._deliveries._ordering, "_pause", pause)
    assert (Done(), 2) == (ordered.deliver(second), len(looked))


def test_what_ended_between_the_look_and_the_waiting_is_not_missed(
    ordered: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ordered.log(ADA, ADA)
    ordered.deliver(first, fails=ConnectionError("away"))
    other, add = Ordered(ordered.database), ordered.database.run
    calls: list[object] = []

    def run(work: Callable[..., object]) -> object:
        if not calls:
            calls.append(work)
            assert Done() == other.deliver(first, attempt=2)
        return add(work)

    monkeypatch.setattr(ordered.database, "run", run)
    assert (Done(), []) == (ordered.deliver(second), ordered.waits(ADA))


def test_two_processes_that_take_a_subject_in_any_order_handle_it_in_one(database: Database) -> None:
    workers = [Ordered(database), Ordered(database)]
    events = workers[0].log(*[ADA, BEN] * 20)
    for each in workers:
        each.handled = workers[0].handled
    shares = (events[1::2] + events[::4], events[2::4])
    failed: list[BaseException] = []

    def work(worker: Ordered, share: list[Envelope]) -> None:
        try:
            for each in share:
                worker.deliver(each)
        except BaseException as error:  # noqa: BLE001  # told by the test's own thread
            failed.append(error)

    threads = [Thread(target=work, args=pair) for pair in zip(workers, shares, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    by_id = {each.id: each for each in events}
    while sent := workers[0].resent():
        for row in sent:
            workers[0].deliver(by_id[str(row.event_id)])
    assert [] == failed
    for subject in (ADA, BEN):
        of_subject = [each.id for each in events if each.subject == str(subject)]
        assert of_subject == [each for each in workers[0].handled if each in of_subject]


def test_nothing_of_an_unordered_consumer_is_looked_up(ordered: Ordered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "place", None)
    (first,) = ordered.log(ADA)
    object.__setattr__(ordered.subscription, "ordered", False)
    assert Done() == ordered.deliver(first)
