"""What waits for its turn, and those who look after it: the keeper, the duty, the sweep, and the story of an event."""

import contextlib
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import delete

from events.envelope import encode
from infra import faults
from infra.database import inbox, unsettled
from infra.database.engine import Database
from infra.database.tables import Subscription, table
from infra.database.unsettled import Before
from infra.faults import FaultInjected
from infra.outcomes import Done, Incoming, PassedOver
from infra.recovery import deliveries
from infra.recovery.keeping import Keeper
from infra.recovery.turning import AT_ONCE, EVERY, Turning
from tests.ordered import LEDGER, Ordered, ids

ADA, BEN = uuid4(), uuid4()
_SUBSCRIPTION = table(Subscription)


@pytest.fixture
def ordered(database: Database) -> Ordered:
    return Ordered(database)


def test_a_broker_that_gives_an_event_up_keeps_nobody_waiting(ordered: Ordered) -> None:
    """The keeper is the first to hear of it."""
    first, second = ordered.log(ADA, ADA)
    assert PassedOver() == ordered.deliver(second)
    death = {"queue": LEDGER, "reason": "delivery_limit", "count": 1, "exchange": ""}
    assert [Done()] == Keeper(ordered.database).keep([Incoming(encode(first), headers={"x-death": [death]})])
    assert ("dead", [second.id]) == (ordered.state(first), [row.event_id for row in ordered.resent()])


def test_the_duty_lets_go_what_nothing_keeps_waiting(ordered: Ordered) -> None:
    """As after a process that died between an event's end and the waking of the next one."""
    first, second, _, fourth = ordered.log(ADA, ADA, BEN, BEN)
    ordered.deliver(second)
    ordered.deliver(fourth)
    with ordered.database.transaction() as session:
        inbox.claim(session, inbox.Delivery(first.id, LEDGER, 1, datetime.now(UTC), ordered=True))
    duty = Turning(ordered.database)
    assert EVERY == duty.step()
    assert ([second.id], [fourth.id]) == ([row.event_id for row in ordered.resent()], ordered.waits(BEN))
    assert (EVERY, []) == (duty.step(), ordered.resent())


def test_the_duty_goes_over_all_subjects_part_by_part(ordered: Ordered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.recovery.turning._MOST", 2)
    subjects = [uuid4() for _ in range(5)]
    for subject in subjects:
        first, second = ordered.log(subject, subject)
        ordered.deliver(second)
        with ordered.database.transaction() as session:
            inbox.claim(session, inbox.Delivery(first.id, LEDGER, 1, datetime.now(UTC), ordered=True))
    duty = Turning(ordered.database)
    assert [AT_ONCE, AT_ONCE, EVERY] == [duty.step() for _ in range(3)]
    assert 5 == len(ordered.resent())


def test_what_waits_at_a_consumer_that_is_recorded_no_more_is_forgotten(ordered: Ordered) -> None:
    _, second = ordered.log(ADA, ADA)
    ordered.deliver(second)
    with ordered.database.transaction() as session:
        session.connection().execute(delete(_SUBSCRIPTION))
    Turning(ordered.database).step()
    assert ([], []) == (ordered.waits(ADA), ordered.resent())


def test_the_sweep_does_not_take_what_waits_for_lost(ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    ordered.deliver(second)
    ordered.scan(2, first, second)
    later = datetime.now(UTC) + timedelta(hours=1)
    with ordered.database.reading() as session:
        lost = unsettled.lost(session, LEDGER, Before(later, later, later, later))
    assert [first.id] == [each.event_id for each in lost]


def test_for_the_sweep_what_is_let_go_comes_into_the_queue_then(ordered: Ordered) -> None:
    first, second = ordered.log(ADA, ADA)
    ordered.deliver(second)
    ordered.scan(2, first, second)
    before = datetime.now(UTC)
    ordered.deliver(first)
    ordered.resent()
    with ordered.database.reading() as session:
        assert [] == unsettled.lost(session, LEDGER, Before(before, before, before, before))


def test_the_story_of_an_event_says_that_it_waits(ordered: Ordered) -> None:
    first, second, third = ordered.log(ADA, ADA, ADA)
    ordered.deliver(first, fails=ConnectionError("away"))
    ordered.deliver(second)
    with ordered.database.reading() as session:
        found = deliveries.of(session, ids([first, second, third]))
    states = {event: [each.state for each in those] for event, those in found.items()}
    assert {first.id: ["retrying"], second.id: ["waiting"], third.id: ["pending"]} == states


@pytest.mark.parametrize("fault", ["ordering.after-waiting", "ordering.before-wake"])
def test_a_crash_where_order_is_kept_costs_a_look_of_the_duty_at_most(ordered: Ordered, fault: str) -> None:
    first, second = ordered.log(ADA, ADA)
    faults.arm(f"{fault}:1:raise")
    for each in (second, first):
        with contextlib.suppress(FaultInjected):
            ordered.deliver(each)
    assert not faults.is_armed(fault)
    ordered.restart()
    for each in (second, first):
        ordered.deliver(each, redelivered=True)
    Turning(ordered.database).step()
    for _ in ordered.resent():
        ordered.deliver(second)
    assert (ids([first, second]), []) == (ordered.handled, ordered.waits(ADA))
