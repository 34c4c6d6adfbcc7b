"""What the sweep knows of the queues: it asks now and then, and waits for no answer."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta

import pytest

from infra.database import emptied
from infra.database.engine import Database
from infra.errors import BrokerUnavailable, DatabaseUnavailable
from infra.recovery import queues
from infra.recovery.queues import Queues
from tests.eventlogs import fill
from tests.infra.recovery.conftest import Bench, Counts, ago

AT_ONCE = timedelta(0)


@pytest.fixture(autouse=True)
def _looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "LOOK_EVERY", 0.0)


def look(bench: Bench, times: int = 1) -> None:
    for _ in range(times):
        bench.queues.look([bench.row])


def test_a_queue_in_which_nothing_waits_is_remembered_as_empty_at_that_time(bench: Bench, counts: Counts) -> None:
    counts.waiting = {"sms": 0, "other": 1}
    before = ago(0)
    look(bench, 2)
    at = bench.queues.empty_until("sms", patience=AT_ONCE)
    assert at is not None
    assert before <= at <= ago(0)
    assert bench.queues.empty_until("other", patience=AT_ONCE) is None
    assert bench.queues.empty_until("sms", patience=timedelta(seconds=60)) is None


def test_of_several_times_the_last_that_is_long_enough_ago_counts(bench: Bench) -> None:
    times = [ago(seconds) for seconds in (300, 200, 100, 10)]
    for at in times:
        bench.seen_empty(at)
    assert times[1] == bench.queues.empty_until("sms", patience=timedelta(seconds=150))


def test_it_declares_every_recorded_consumer(bench: Bench, counts: Counts) -> None:
    look(bench)
    assert [[("sms", ["#"], "")]] == counts.declared


def test_a_broker_that_does_not_answer_is_asked_once_and_holds_nobody_up(bench: Bench, counts: Counts) -> None:
    counts.answer = Future()
    look(bench, 5)
    assert 1 == len(counts.declared)
    counts.answer.set_result({"sms": 0})
    look(bench)
    assert (2, True) == (len(counts.declared), bench.queues.empty_until("sms", patience=AT_ONCE) is not None)


def test_a_broker_that_is_away_is_a_trouble_until_it_is_back(bench: Bench, counts: Counts) -> None:
    counts.error = BrokerUnavailable("It is away, says the test.")
    look(bench, 2)
    assert "It is away, says the test." == bench.queues.trouble.problem
    counts.error = None
    look(bench, 2)
    assert bench.queues.trouble.problem is None


def test_what_was_made_anew_is_written_down_and_stays_until_that_is_through(
    bench: Bench, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = ago(1)
    fill(bench.database, 1)
    counts.made["retry.5s"] = at

    def fail(_: Callable[..., object]) -> None:
        raise DatabaseUnavailable("It is away, says the test.")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "run", lambda self, work: fail(work))
        with pytest.raises(DatabaseUnavailable):
            look(bench)
    assert {"retry.5s": at} == counts.made
    look(bench)
    with bench.database.reading() as session:
        assert ({}, {"retry.5s": at}) == (counts.made, emptied.times(session))


def test_who_waits_for_the_answer_does_so_for_some_seconds_at_most(bench: Bench, counts: Counts) -> None:
    counts.waiting = {"sms": 0}
    bench.queues.look_now([bench.row], 5)
    assert bench.queues.empty_until("sms", patience=AT_ONCE) is not None
    silent = Counts(answer=Future())
    with pytest.raises(BrokerUnavailable, match=r"within 0\.01 s"):
        Queues(bench.database, silent).look_now([bench.row], 0.01)
