"""Operations, worked off: at their pace, with a canary, until they stop, end or are gone on with by another process."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from infra.database import operations, replays
from infra.database.dead_letters import Filter
from infra.database.engine import Database
from infra.database.recovery_tables import Operation
from infra.database.tables import Subscription, table
from infra.recovery import discarding, operating, replaying, stopping
from infra.recovery.operating import Operating
from infra.recovery.replaying import Terms
from tests import given_up

ME: dict[str, Any] = {"who": "ada", "why": ""}


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def consumers(database: Database) -> None:
    """The consumer whose letters these are."""
    given_up.declare(database, given_up.SMS)


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def duty(database: Database, clock: Clock) -> Operating:
    """The duty in the first process that has it."""
    return Operating(database, clock=clock)


def start(database: Database, number: int, terms: Terms = Terms()) -> str:  # noqa: B008  # it is frozen
    """Give some letters up and begin to replay them; gives the operation's id."""
    given_up.some(database, number)
    with database.transaction() as session:
        return replaying.start(session, Filter(), terms, **ME).id


def look(database: Database, operation_id: str) -> Operation:
    """The operation as it is."""
    with database.reading() as session:
        return replaying.find_operation(session, operation_id)


def counts(database: Database, operation_id: str) -> tuple[str, int, int, int]:
    """State, sent, handled, failed."""
    found = look(database, operation_id)
    return found.state, found.sent, found.handled, found.failed


def test_all_are_sent_counted_and_then_it_is_done(database: Database, duty: Operating) -> None:
    operation = start(database, 5)
    assert operating.SENDING == duty.step()
    sent = given_up.relay(database)
    assert (5, ("running", 5, 0, 0)) == (len(sent), counts(database, operation))
    given_up.handle(database, sent[:3])
    given_up.fail_again(database, sent[3:])
    assert operating.AWAITING == duty.step()
    assert ("done", 5, 3, 2) == counts(database, operation)
    assert "3 handled, 2 failed and wait again" == look(database, operation).message
    assert sent[3:] == given_up.in_state(database, "waiting")
    assert operating.IDLE == duty.step()


def test_they_are_sent_in_the_order_in_which_they_were_kept(
    database: Database, duty: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operating, "BATCH", 2)
    start(database, 5)
    queued = given_up.in_state(database, "queued")
    for _ in range(3):
        duty.step()
    assert queued == given_up.relay(database)


def test_no_more_are_begun_while_many_wait_for_the_relay(
    database: Database, duty: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operating, "BACKLOG", 3)
    start(database, 5)
    duty.step()
    duty.step()
    assert 3 == len(given_up.relay(database))
    duty.step()
    assert 2 == len(given_up.relay(database))


def test_a_rate_is_kept_to_without_catching_up(database: Database, duty: Operating, clock: Clock) -> None:
    operation = start(database, 100, Terms(rate=8.0))
    duty.step()
    assert 1 == look(database, operation).sent
    for _ in range(10):
        clock.now += 0.25
        duty.step()
    assert 21 == look(database, operation).sent
    clock.now += 3600
    duty.step()
    assert 23 == look(database, operation).sent


def test_a_slow_rate_sends_one_at_a_time(database: Database, duty: Operating, clock: Clock) -> None:
    operation = start(database, 3, Terms(rate=0.5))
    sent = []
    for _ in range(5):
        duty.step()
        sent.append(look(database, operation).sent)
        clock.now += 1
    assert [1, 1, 2, 2, 3] == sent


def test_the_canary_goes_first_and_the_others_when_it_is_handled(database: Database, duty: Operating) -> None:
    operation = start(database, 10, Terms(canary=2))
    duty.step()
    duty.step()
    canary = given_up.relay(database)
    assert (2, "canary: 0 of 2 handled") == (len(canary), look(database, operation).message)
    given_up.handle(database, canary[:1])
    duty.step()
    assert [] == given_up.relay(database)
    given_up.handle(database, canary[1:])
    duty.step()
    others = given_up.relay(database)
    assert 8 == len(others)
    given_up.fail_again(database, others[:1])  # past the canary, one failure stops nothing
    given_up.handle(database, others[1:])
    duty.step()
    assert ("done", 10, 9, 1) == counts(database, operation)


def test_a_canary_that_fails_stops_it_and_the_others_wait_again(database: Database, duty: Operating) -> None:
    operation = start(database, 10, Terms(canary=2))
    duty.step()
    canary = given_up.relay(database)
    given_up.fail_again(database, canary[:1])
    duty.step()
    assert ("stopped", 2, 0, 1) == counts(database, operation)
    assert "1 of the canary's 2 failed; 8 not sent wait again; 1 on their way end by themselves" == (
        look(database, operation).message
    )
    assert 9 == len(given_up.in_state(database, "waiting"))
    given_up.handle(database, canary[1:])
    assert "handled" == given_up.find(database, canary[1]).state


def test_a_canary_that_is_not_through_in_time_stops_it(
    database: Database, duty: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = start(database, 3, Terms(canary=1))
    duty.step()
    duty.step()
    assert "running" == look(database, operation).state
    monkeypatch.setattr(stopping, "PATIENCE", timedelta(0))
    duty.step()
    assert "stopped" == look(database, operation).state
    assert look(database, operation).message.startswith("the canary was not handled within")


def test_a_canary_of_more_letters_than_there_are_is_all_of_them(database: Database, duty: Operating) -> None:
    operation = start(database, 3, Terms(canary=10))
    duty.step()
    given_up.handle(database, given_up.relay(database))
    duty.step()
    assert ("done", 3, 3, 0) == counts(database, operation)


def test_letters_that_were_handled_meanwhile_are_no_canary(database: Database, duty: Operating) -> None:
    operation = start(database, 4, Terms(canary=2))
    for each in given_up.in_state(database, "queued")[:2]:
        given_up.handle_elsewhere(database, each)
    duty.step()
    assert [] == given_up.relay(database)
    duty.step()
    given_up.handle(database, given_up.relay(database))
    duty.step()
    assert ("done", 2, 4, 0) == counts(database, operation)


@pytest.mark.parametrize(("failing", "state"), [(9, "running"), (10, "stopped")])
def test_too_many_failures_stop_it_once_enough_have_ended(
    database: Database, duty: Operating, monkeypatch: pytest.MonkeyPatch, failing: int, state: str
) -> None:
    monkeypatch.setattr(stopping, "WATCHED", 20)
    operation = start(database, 60, Terms(stop_at_failure_ratio=0.5))
    duty.step()
    sent = given_up.relay(database)
    assert 20 == len(sent)
    given_up.fail_again(database, sent[:failing])
    given_up.handle(database, sent[failing:-1])
    duty.step()
    assert ("running", 39) == (look(database, operation).state, look(database, operation).sent)  # 19 say nothing yet
    given_up.handle(database, sent[-1:])
    duty.step()
    assert state == look(database, operation).state
    assert (21 if state == "stopped" else 0) == len(set(given_up.in_state(database, "waiting")) - set(sent))


def test_an_operator_stops_it_and_what_is_not_sent_waits_again(database: Database, duty: Operating) -> None:
    operation = start(database, 5, Terms(rate=8.0))
    duty.step()
    with database.transaction() as session:
        replaying.stop(session, operation, **ME)
    duty.step()
    found = look(database, operation)
    assert ("stopped", 1) == (found.state, found.sent)
    assert "an operator stopped it; 4 not sent wait again; 1 on their way end by themselves" == found.message
    assert found.finished_at is not None
    assert 4 == len(given_up.in_state(database, "waiting"))
    with database.transaction() as session:  # and may be replayed by another one
        assert 4 == replaying.start(session, Filter(), Terms(), **ME).total


def test_what_was_handled_by_another_way_is_closed_and_not_sent(database: Database, duty: Operating) -> None:
    operation = start(database, 3)
    (first, *others) = given_up.in_state(database, "queued")
    given_up.handle_elsewhere(database, first)
    duty.step()
    assert others == given_up.relay(database)
    assert ("handled", 2) == (given_up.find(database, first).state, look(database, operation).sent)
    given_up.handle(database, others)
    duty.step()
    assert ("done", 2, 3, 0) == counts(database, operation)


def test_with_force_it_is_sent_all_the_same(database: Database, duty: Operating) -> None:
    start(database, 2, Terms(force=True))
    queued = given_up.in_state(database, "queued")
    given_up.handle_elsewhere(database, queued[0])
    duty.step()
    assert queued == given_up.relay(database)


def test_a_consumer_that_is_gone_meanwhile_counts_as_failures(database: Database, duty: Operating) -> None:
    operation = start(database, 3)
    with database.transaction() as session:
        session.connection().execute(delete(table(Subscription)))
    duty.step()
    duty.step()
    assert ("done", 0, 0, 3) == counts(database, operation)
    assert 3 == len(given_up.in_state(database, "waiting"))


def test_what_an_operator_does_with_a_failure_before_it_is_counted_changes_no_count(
    database: Database, duty: Operating
) -> None:
    operation = start(database, 2)
    duty.step()
    sent = given_up.relay(database)
    given_up.fail_again(database, sent)
    with database.transaction() as session:
        discarding.discard(session, sent[0], who="ada", why="no more")
    duty.step()
    assert ("done", 2, 0, 2) == counts(database, operation)


@pytest.mark.parametrize("terms", [Terms(), Terms(rate=400.0), Terms(canary=3), Terms(stop_at_failure_ratio=0.9)])
def test_nothing_is_sent_twice_whoever_goes_on(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch, terms: Terms
) -> None:
    monkeypatch.setattr(operating, "BATCH", 7)
    operation = start(database, 40, terms)
    seen: list[str] = []
    for _ in range(42):
        clock.now += 0.1
        Operating(database, clock=clock).step()  # each step in a process of its own, as if every one had crashed
        sent = given_up.relay(database)
        given_up.fail_again(database, sent[3:][:1])
        given_up.handle(database, sent[:3] + sent[4:])
        seen += sent
    assert (40, 40) == (len(seen), len(set(seen)))
    state, sent_count, handled, failed = counts(database, operation)
    assert ("done", 40, 40) == (state, sent_count, handled + failed)


def test_a_crash_in_a_step_leaves_nothing_half_done(
    database: Database, duty: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = start(database, 5)
    write = operations.write

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(operations, "write", crash)
    with pytest.raises(KeyboardInterrupt):
        duty.step()
    assert ([], 5) == (given_up.relay(database), len(given_up.in_state(database, "queued")))
    monkeypatch.setattr(operations, "write", write)
    Operating(database).step()
    assert (5, 5) == (len(given_up.relay(database)), look(database, operation).sent)


def test_a_fault_of_ours_ends_one_operation_and_the_others_go_on(
    database: Database, duty: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = start(database, 2)
    healthy = start(database, 3)
    bad = set(given_up.in_state(database, "queued")[:2])
    begin = replays.begin

    def stumble(session: Any, ids: list[str], *, force: bool) -> int:
        if bad & set(ids):
            raise ZeroDivisionError
        return begin(session, ids, force=force)

    monkeypatch.setattr(replays, "begin", stumble)
    duty.step()
    assert ("failed", 0, 0, 0) == counts(database, broken)
    assert look(database, broken).message.startswith("a fault of ours (ZeroDivisionError; see the log); 2 not sent")
    assert 3 == len(given_up.relay(database))
    assert "running" == look(database, healthy).state


def test_an_operation_in_which_nothing_happens_is_written_seldom(
    database: Database, duty: Operating, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = start(database, 1)
    duty.step()
    duty.step()
    before = look(database, operation)
    duty.step()
    assert before == look(database, operation)
    monkeypatch.setattr(operating, "SIGN_OF_LIFE", timedelta(0))
    duty.step()
    assert look(database, operation).updated_at > before.updated_at


def test_the_terms_are_kept_as_they_were_given(database: Database) -> None:
    terms = Terms(rate=0.5, canary=3, stop_at_failure_ratio=0.25, force=True)
    assert asdict(terms).items() <= look(database, start(database, 1, terms)).request.items()
