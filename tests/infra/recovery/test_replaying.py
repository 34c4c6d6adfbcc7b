"""Replays: which letters go again, which are refused, and what is written down about it."""

from datetime import timedelta
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from infra.database import audit, operations, replays
from infra.database.dead_letters import Filter
from infra.database.engine import Database
from infra.database.recovery_tables import DeadLetter, Operation
from infra.errors import NotKnown, NotPossible
from infra.recovery import discarding, replaying
from infra.recovery.replaying import Terms
from tests import given_up

ME: dict[str, Any] = {"who": "ada", "why": "credit is topped up"}


@pytest.fixture(autouse=True)
def consumers(database: Database) -> None:
    """The consumers whose letters these are."""
    given_up.declare(database, given_up.SMS, "welcome-email")


def replay_one(database: Database, letter_id: str, *, force: bool = False) -> DeadLetter:
    with database.transaction() as session:
        return replaying.replay_one(session, letter_id, force=force, **ME)


def start(database: Database, wanted: Filter, terms: Terms = Terms()) -> Operation:  # noqa: B008  # it is frozen
    with database.transaction() as session:
        return replaying.start(session, wanted, terms, **ME)


def deeds(database: Database) -> list[tuple[str, str, str, str]]:
    with database.reading() as session:
        rows = audit.page(session, audit.Filter(), before=None, limit=100)
    return [(row.who, row.action, row.target, row.why) for row in rows]


def test_a_letter_that_waits_is_sent_and_written_down(database: Database) -> None:
    one, other = given_up.some(database, 2)
    sent = replay_one(database, one)
    assert ("replaying", 1) == (sent.state, sent.replays)
    assert [one] == given_up.relay(database)
    assert [other] == given_up.in_state(database, "waiting")
    assert [("ada", "dead-letter.replay", one, "credit is topped up")] == deeds(database)


def test_what_the_consumer_handled_by_another_way_is_closed_and_not_run(database: Database) -> None:
    (one,) = given_up.some(database, 1)
    given_up.handle_elsewhere(database, one)
    assert replay_one(database, one).state == "handled"
    assert [] == given_up.relay(database)


def test_with_force_it_runs_once_more(database: Database) -> None:
    (one,) = given_up.some(database, 1)
    given_up.handle_elsewhere(database, one)
    assert replay_one(database, one, force=True).state == "replaying"
    assert [one] == given_up.relay(database)
    given_up.handle(database, [one])
    assert given_up.find(database, one).state == "handled"


def test_a_letter_that_is_unknown_closed_or_on_its_way_is_refused(database: Database) -> None:
    sent, handled, discarded, queued, orphan = given_up.some(database, 4) + given_up.some(database, 1, "gone")
    replay_one(database, sent)
    replay_one(database, handled)
    given_up.handle(database, [handled])
    with database.transaction() as session:
        discarding.discard(session, discarded, **ME)
    start(database, Filter(ids=(queued,)))
    written = len(deeds(database))
    for each, error, words in [
        (str(uuid7()), NotKnown, "No dead letter has this id."),
        (sent, NotPossible, "is being replayed already"),
        (handled, NotPossible, "is closed: its event is handled"),
        (discarded, NotPossible, "is closed: it was discarded"),
        (queued, NotPossible, "An operation will replay"),
        (orphan, NotPossible, "is declared: discard"),
    ]:
        for force in (False, True):
            with pytest.raises(error, match=words):
                replay_one(database, each, force=force)
    assert written == len(deeds(database))


def test_an_operation_queues_the_waiting_letters_that_are_meant(database: Database) -> None:
    mine = given_up.some(database, 3)
    others = given_up.some(database, 2, "welcome-email")
    orphans = given_up.some(database, 1, "gone")
    replay_one(database, mine[0])
    begun = start(database, Filter(consumer=given_up.SMS), Terms(rate=5.0, canary=1))
    assert (2, "running") == (begun.total, begun.state)
    assert mine[1:] == given_up.in_state(database, "queued")
    assert others + orphans == given_up.in_state(database, "waiting")
    assert ("ada", "dead-letters.replay", begun.id, "credit is topped up") == deeds(database)[0]
    with database.reading() as session:
        kept = operations.find(session, begun.id)
    assert kept is not None
    assert {
        "filter": {"consumer": given_up.SMS},
        "rate": 5.0,
        "canary": 1,
        "stop_at_failure_ratio": None,
        "force": False,
    } == kept.request


def test_an_operation_leaves_alone_what_comes_later_and_what_has_no_consumer(database: Database) -> None:
    given_up.some(database, 2)
    orphan = given_up.some(database, 1, "gone")
    start(database, Filter())
    later = given_up.some(database, 1)
    assert orphan + later == given_up.in_state(database, "waiting")


def test_each_letter_belongs_to_one_operation(database: Database) -> None:
    chosen = given_up.some(database, 2)
    first, second = start(database, Filter()), start(database, Filter())
    assert (2, 0) == (first.total, second.total)
    assert "done" == second.state
    assert [first.id] * 2 == [given_up.find(database, each).operation_id for each in chosen]


def test_an_operation_with_nothing_to_do_is_done(database: Database) -> None:
    begun = start(database, Filter(since=given_up.START + timedelta(days=1)))
    assert ("done", 0, "nothing to do") == (begun.state, begun.total, begun.message)
    assert begun.finished_at is not None


def test_of_named_letters_all_are_replayed_or_none(database: Database) -> None:
    ids = given_up.some(database, 3)
    replay_one(database, ids[2])
    for bad, error in ((str(uuid7()), NotKnown), (ids[2], NotPossible)):
        with pytest.raises(error, match=f"^{bad}: .*Nothing was replayed"), database.transaction() as session:
            replaying.start_these(session, [*ids[:2], bad], Terms(), **ME)
    assert ids[:2] == given_up.in_state(database, "waiting")
    with database.transaction() as session:
        begun = replaying.start_these(session, [ids[0], ids[1], ids[0]], Terms(), **ME)
    assert 2 == begun.total


def test_a_named_letter_that_its_last_operation_has_not_counted_yet_is_refused_with_all_others(
    database: Database,
) -> None:
    failed, other = given_up.some(database, 2)
    start(database, Filter(ids=(failed,)))
    with database.transaction() as session:
        replays.begin(session, [failed])
        replays.refuse(session, failed, "no")
    assert [failed, other] == given_up.in_state(database, "waiting")
    with pytest.raises(NotPossible, match=r"Nothing was replayed\.$"), database.transaction() as session:
        replaying.start_these(session, [failed, other], Terms(), **ME)
    assert [failed, other] == given_up.in_state(database, "waiting")


def test_an_operation_that_ended_cannot_be_stopped(database: Database) -> None:
    given_up.some(database, 1)
    running, done = start(database, Filter()), start(database, Filter())
    with database.transaction() as session:
        assert "stopping" == replaying.stop(session, running.id, **ME).state
    for each, error, words in [
        (running.id, NotPossible, "is stopping already"),
        (done.id, NotPossible, "has ended already"),
        (str(uuid7()), NotKnown, "No operation has this id"),
    ]:
        with pytest.raises(error, match=words), database.transaction() as session:
            replaying.stop(session, each, **ME)
    assert ["operation.stop"] == [action for _, action, target, _ in deeds(database) if target == running.id][:1]
