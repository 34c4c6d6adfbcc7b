"""A backfill is followed until its end: what is on its way, handled and failed, and why it stops."""

from collections.abc import Sequence

import pytest
from sqlalchemy import delete, update

from infra.backfilling.working import FOLLOWING, IDLE, Backfilling
from infra.database import backfills, pauses, unsettled
from infra.database.engine import Database
from infra.database.tables import Subscription, table
from infra.recovery import replaying
from tests.eventlogs import event_id, fill, handle
from tests.infra.recovery.conftest import ago, write_letter
from tests.pasts import ME, begin, look, place
from tests.relays import record

SMS = "sms"
_SUBSCRIPTION = table(Subscription)


@pytest.fixture(autouse=True)
def log(database: Database) -> None:
    """A log of forty events, and then a consumer of all."""
    fill(database, 40, at=ago(3_600))
    record(database, "#", name=SMS)


@pytest.fixture
def duty(database: Database) -> Backfilling:
    """The duty in the process that has it."""
    return Backfilling(database, grace=60)


def send(database: Database, most: int) -> list[str]:
    """Do what the relay does: bind first, then send a slice; gives the ids."""
    with database.transaction() as session:
        (one,) = backfills.to_send(session)
        if not one.joined:
            backfills.join(session, one)
            (one,) = backfills.to_send(session)
        part = backfills.next_slice(session, one, most)
        assert backfills.move(session, one, part.end, part.events, ago(0))
    return [each.event_id for each in part.events]


def fail(database: Database, positions: Sequence[int]) -> None:
    """Keep a dead letter of the event at each position."""
    with database.transaction() as session:
        for position in positions:
            write_letter(session, event_id(position), SMS, letter_id=f"f{position}")


def told(database: Database, operation: str) -> tuple[str, int, int, int, str]:
    found = look(database, operation)
    return found.state, found.sent, found.handled, found.failed, found.message


def test_what_is_on_its_way_is_counted_until_all_has_ended(database: Database, duty: Backfilling) -> None:
    operation = begin(database, SMS)
    assert FOLLOWING == duty.step()
    assert ("running", 0, 0, 0, "waits for the relay, which binds the queue first") == told(database, operation)
    assert [event_id(position) for position in range(1, 31)] == send(database, 30)
    handle(database, SMS, 10)
    handle(database, SMS, 20, 15)
    duty.step()
    assert ("running", 30, 16, 0, "14 on their way") == told(database, operation)
    assert 10 == place(database, operation).settled
    send(database, 30)
    duty.step()
    waiting = "24 on their way; all is sent; what was lost on its way is sent again after about 60 s"
    assert ("running", 40, 16, 0, waiting) == told(database, operation)
    handle(database, SMS, 14, 11)
    handle(database, SMS, 38, 21)
    fail(database, (39, 40))
    duty.step()
    assert ("done", 40, 38, 2, "38 handled, 2 failed and wait in the dead letters") == told(database, operation)
    assert IDLE == duty.step()
    with database.reading() as session:
        assert backfills.find(session, operation) is None


def test_what_others_settle_before_it_is_sent_is_left_out(database: Database, duty: Backfilling) -> None:
    operation = begin(database, SMS)
    send(database, 10)
    handle(database, SMS, 40, 21)
    assert [event_id(position) for position in range(11, 21)] == send(database, 30)
    assert [] == _to_send(database)
    handle(database, SMS, 20)
    duty.step()
    assert ("done", 20, 20, 0, "20 handled; 20 were settled before they were sent") == told(database, operation)
    assert 20 == look(database, operation).total


def test_what_comes_before_the_binding_is_added(database: Database, duty: Backfilling) -> None:
    operation = begin(database, SMS)
    fill(database, 45, 41, at=ago(0))
    send(database, 100)
    assert (45, 45) == (look(database, operation).total, look(database, operation).sent)
    fill(database, 50, 46, at=ago(0))
    assert [] == _to_send(database)


def test_one_that_is_stopped_keeps_its_place_and_says_what_is_left(database: Database, duty: Backfilling) -> None:
    operation = begin(database, SMS)
    send(database, 30)
    with database.transaction() as session:
        replaying.stop(session, operation, **ME)
    assert [] == _to_send(database)
    duty.step()
    text = "an operator stopped it; 10 were not sent; 30 on their way end by themselves"
    assert ("stopped", 30, 0, 0, text) == told(database, operation)
    assert 30 == place(database, operation).sent


@pytest.mark.parametrize(
    ("gone", "reason"),
    [
        (delete(_SUBSCRIPTION), "no consumer of this name is recorded any more"),
        (update(_SUBSCRIPTION).values(retiring_since=ago(0)), "the consumer is retiring"),
    ],
)
def test_a_consumer_that_leaves_ends_it(database: Database, duty: Backfilling, gone: object, reason: str) -> None:
    operation = begin(database, SMS)
    with database.transaction() as session:
        session.connection().execute(gone)  # type: ignore[call-overload]
    assert [] == _to_send(database)
    duty.step()
    assert ("stopped", f"{reason}; 40 were not sent") == (look(database, operation).state, told(database, operation)[4])


def test_a_paused_consumer_is_told_of(database: Database, duty: Backfilling) -> None:
    operation = begin(database, SMS)
    send(database, 30)
    with database.transaction() as session:
        pauses.pause(session, SMS, pauses.OPERATOR, "a test")
    duty.step()
    assert "30 on their way; the consumer is paused" == look(database, operation).message


def test_two_relays_at_once_move_it_once(database: Database) -> None:
    operation = begin(database, SMS)
    send(database, 10)
    with database.transaction() as session:
        (one,) = backfills.to_send(session)
        part = backfills.next_slice(session, one, 5)
        assert backfills.move(session, one, part.end, part.events, ago(0))
        assert not backfills.move(session, one, part.end, part.events, ago(0))
    assert (15, 15) == (look(database, operation).sent, place(database, operation).sent)


def test_what_is_on_its_way_is_the_sweeps_and_counts_as_sent_now(database: Database) -> None:
    begin(database, SMS)
    send(database, 30)
    handle(database, SMS, 10)
    with database.reading() as session:
        found = unsettled.still_open(session, SMS)
    assert (20, 11) == (found.count, found.position)
    assert found.published_at is not None
    assert (ago(0) - found.published_at).total_seconds() < 60


def test_one_whose_row_is_gone_fails_and_the_others_go_on(database: Database, duty: Backfilling) -> None:
    record(database, "#", name="other")
    broken, whole = begin(database, SMS), begin(database, "other")
    with database.transaction() as session:
        backfills.remove(session, broken)
    duty.step()
    assert ("failed", "running") == (look(database, broken).state, look(database, whole).state)


def _to_send(database: Database) -> list[backfills.Sending]:
    with database.reading() as session:
        return backfills.to_send(session)
