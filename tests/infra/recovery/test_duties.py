"""Duties: done step by step, by one process at a time, whatever happens to one of them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import structlog
from sqlalchemy import delete

from infra.database import leases
from infra.database.engine import Database, connect
from infra.database.tables import Lease, table
from infra.recovery import duties
from infra.recovery.duties import Duties
from tests.waiting import until


@dataclass
class Counting:
    """A duty that counts its steps, and fails in those that are named."""

    pause: float = 0.01
    failing: set[int] = field(default_factory=set)
    steps: int = 0

    def step(self) -> float:
        self.steps += 1
        if self.steps in self.failing:
            raise ZeroDivisionError("ada@example.com")
        return self.pause


Start = Callable[..., Duties]


@pytest.fixture
def start(database: Database) -> Iterator[Start]:
    """Start duties, and stop all of them at the end."""
    running: list[Duties] = []

    def begin(holder: str = "me", connected: Database = database, **wanted: Counting) -> Duties:
        running.append(Duties(connected, wanted, holder))
        running[-1].start()
        return running[-1]

    yield begin
    for each in running:
        each.stop()


@pytest.fixture
def other_process(database_url: str) -> Iterator[Database]:
    connected = connect(database_url)
    yield connected
    connected.close()


def test_each_duty_is_called_again_after_the_seconds_that_it_asked_for(start: Start) -> None:
    often, seldom = Counting(0.01), Counting(600)
    start(often=often, seldom=seldom)
    until(lambda: often.steps >= 10, what="ten steps")
    assert 1 == seldom.steps


def test_a_duty_is_done_by_one_process_at_a_time_and_by_the_next_as_soon_as_that_stops(
    start: Start, other_process: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duties, "ASK_EVERY", 0.05)
    monkeypatch.setattr(duties, "LEASE_SECONDS", 50.0)  # the end of the lease is not what it waits for
    first, second = Counting(), Counting()
    running = start("first", sweep=first)
    until(lambda: first.steps, what="the first one's step")
    start("second", other_process, sweep=second)
    done = first.steps
    until(lambda: first.steps > done + 20, what="more of the first one's steps")
    assert 0 == second.steps
    running.stop()
    until(lambda: second.steps, seconds=30, what="the second one's step")


def test_a_duty_whose_holder_was_killed_is_taken_over_when_its_lease_has_run_out(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duties, "ASK_EVERY", 0.05)
    begun, heir = time.monotonic(), Counting()
    with database.transaction() as session:
        leases.acquire(session, "duty sweep", "a process that was killed", 0.5)
    start(sweep=heir)
    until(lambda: heir.steps, what="the heir's step")
    assert 0.4 < time.monotonic() - begun


def test_a_duty_that_wants_its_next_step_late_stays_with_its_process(
    start: Start, other_process: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duties, "ASK_EVERY", 0.05)
    monkeypatch.setattr(duties, "LEASE_SECONDS", 0.5)
    patient, eager, clock = Counting(600), Counting(), Counting(0.01)
    start("patient", sweep=patient)
    until(lambda: patient.steps, what="the step")
    start("eager", other_process, sweep=eager, clock=clock)
    until(lambda: clock.steps >= 100, what="a second's steps of another duty")
    assert (1, 0) == (patient.steps, eager.steps)


def test_a_step_that_fails_is_told_once_without_the_errors_text_and_tried_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duties, "AGAIN_AFTER", 0.01)
    failing, other = Counting(failing=set(range(2, 10))), Counting()
    with structlog.testing.capture_logs() as told:
        running = start(sweep=failing, other=other)
        until(lambda: failing.steps >= 5, what="the steps that fail")
        until(lambda: "sweep" in running.problems, what="the problem")
        until(lambda: failing.steps >= 12, what="the steps after those")
        until(lambda: not running.problems, what="the end of the problem")
    assert ["sweep waits"] == [line["event"] for line in told]
    assert "ada@" not in str(told)
    assert other.steps > 5


def test_a_lease_that_vanished_is_taken_again(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duties, "LEASE_SECONDS", 0.2)
    counting = Counting()
    start(sweep=counting)
    until(lambda: counting.steps, what="a step")
    with database.transaction() as session:
        session.connection().execute(delete(table(Lease)))
    done = counting.steps
    until(lambda: counting.steps > done + 40, what="more steps")


def test_stopping_without_having_started_is_nothing(database: Database) -> None:
    Duties(database, {"sweep": Counting()}, "me").stop()
