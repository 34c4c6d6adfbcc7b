"""Who has a job: one worker at a time, until it hands it back, loses it, or the job is cancelled."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from events.clock import DayEnded
from infra.database import job_runs
from infra.database.engine import Database
from infra.database.job_runs import Beat, Far, Kept
from infra.database.job_tables import JobFile
from infra.database.tables import Activity, Effect, Outbox, table
from infra.jobs.handlers import Job, Stopped
from infra.outcomes import ComeBack, Done, Park, PassedOver, RetryLater
from infra.owners import name
from tests.jobs import Steps, Worker, ask, change, count, entry, kind_of_jobs, numbers, row_of, step_by_step
from tests.waiting import until

ACTIVITY, EFFECT, OUTBOX, FILE = table(Activity), table(Effect), table(Outbox), table(JobFile)


def test_a_copy_that_comes_while_the_job_is_at_work_here_comes_back_as_the_same_try(
    database: Database, worker: Worker
) -> None:
    outcomes: list[Any] = []

    def handle(parameters: Steps, job: Job) -> None:
        outcomes.append(worker.deliver(kind, asked, redelivered=True))
        outcomes.append(entry(database, asked.id).state)

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert Done() == worker.deliver(kind, asked)
    assert isinstance(outcomes[0], ComeBack)
    assert ("retrying", "handled") == (outcomes[1], entry(database, asked.id).state)


def test_a_job_that_another_worker_has_is_left_to_it_and_looked_at_later(
    database: Database, worker: Worker, tmp_path: Path
) -> None:
    other = Worker(database, tmp_path)
    outcomes = []

    def handle(parameters: Steps, job: Job) -> None:
        outcomes.append(other.deliver(kind, asked))

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert Done() == worker.deliver(kind, asked)
        assert [ComeBack(30, "Another worker has this job.")] == outcomes
        assert Done() == other.deliver(kind, asked)
    assert 1 == row_of(database, asked).attempts


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "silent"])
def test_a_job_of_a_worker_that_is_gone_or_silent_is_taken_over(
    database: Database, worker: Worker, *, gone: bool
) -> None:
    owner = name().replace(f" {name().split()[1]} ", " 1 ") if gone else name()
    until_then = datetime.now(UTC) + timedelta(minutes=1 if gone else -1)
    with kind_of_jobs(step_by_step) as kind:
        asked = ask(database)
        change(
            database, asked, state="running", attempts=1, owner=owner, busy_until=until_then, checkpoint={"state": 2}
        )
        assert Done() == worker.deliver(kind, asked, redelivered=True)
    assert ("succeeded", 1, [2]) == (row_of(database, asked).state, count(database, ACTIVITY), numbers(worker))


def test_who_lost_its_lease_learns_it_and_leaves_no_trace(database: Database, worker: Worker, tmp_path: Path) -> None:
    """As one that was frozen, and wakes up when another worker has taken over."""
    other = Worker(database, tmp_path)
    woken: list[Job] = []

    def handle(parameters: Steps, job: Job) -> None:
        if not woken:
            woken.append(job)
            change(database, asked, owner=name(), busy_until=datetime.now(UTC) - timedelta(seconds=1))
            assert Done() == other.deliver(kind, asked, redelivered=True)
            job.publish(DayEnded(day=job.requested_at.date()))
            until(lambda: _raises(job))
        step_by_step(parameters, job)

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert PassedOver() == worker.deliver(kind, asked)
    row = row_of(database, asked)
    assert ("succeeded", other.running.owner, 0) == (row.state, row.owner, count(database, OUTBOX))
    assert (3, [], [0, 1, 2]) == (count(database, ACTIVITY), numbers(worker), numbers(other))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_step_keeps_no_sign_of_life_and_no_copy_of_its_message_waiting(
    database: Database, worker: Worker, tmp_path: Path
) -> None:
    """They have the process's one writer, so nobody else would write meanwhile."""
    other = Worker(database, tmp_path)
    found: list[Any] = []

    def handle(parameters: Steps, job: Job) -> None:
        row = row_of(database, asked)
        beats = [Beat(row.id, row.owner, Far(0.5)), Beat(row.id, "another", None)]
        with job.step(1):
            found.append(other.deliver(kind, asked, redelivered=True))
            found.append(database.run(lambda session: job_runs.beat(session, beats[:1])))
        found.append(database.run(lambda session: job_runs.beat(session, beats[:1])))
        found.append(database.run(lambda session: job_runs.beat(session, beats[1:])))

    worker.make(interval=60.0)
    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert Done() == worker.deliver(kind, asked)
    job_id = row_of(database, asked).id
    later = ComeBack(30, "Another worker has this job.")
    assert [later, {job_id: Kept(False, False)}, {job_id: Kept(False, True)}, {}] == found


def test_the_mails_of_a_step_are_nobodys_by_the_clock_of_any_machine(
    database: Database, worker: Worker, tmp_path: Path
) -> None:
    """Whoever ends the job may have a clock that is behind the one of the machine where the step was done."""
    slow = Worker(database, tmp_path)

    def handle(parameters: Steps, job: Job) -> None:
        step_by_step(Steps(steps=1), job)
        worker.is_stopping = True
        step_by_step(Steps(steps=1), job)
        job.progress(1)

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert isinstance(worker.deliver(kind, asked), ComeBack)
        with database.reading() as session:
            (busy_until,) = session.connection().execute(select(EFFECT.c.busy_until)).scalars()
        assert datetime.now(UTC) - timedelta(days=1) > busy_until
        assert Done() == slow.deliver(kind, asked)
    assert [0] == numbers(slow)


@contextmanager
def _caught() -> Iterator[list[Stopped]]:
    caught: list[Stopped] = []
    try:
        yield caught
    except Stopped as stopped:
        caught.append(stopped)


def _raises(job: Job) -> bool:
    with _caught() as caught:
        job.progress(0.5)
    return bool(caught)


@pytest.mark.parametrize(
    "write",
    [lambda job: job.checkpoint(9), lambda job: job.step(9).__enter__(), lambda _: "result"],
    ids=["checkpoint", "step", "end"],
)
def test_who_lost_its_lease_and_does_not_know_it_writes_nothing(
    database: Database, worker: Worker, write: Callable[[Job], object]
) -> None:
    other, theirs = name(), {"state": "theirs"}

    def handle(parameters: Steps, job: Job) -> Any:
        change(database, asked, owner=other, checkpoint=theirs)
        job.mail.send("welcome", to="ada@example.com")
        return write(job)

    worker.make(interval=60.0)
    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert PassedOver() == worker.deliver(kind, asked)
    row = row_of(database, asked)
    assert ("running", other, theirs, 0, 0) == (
        row.state, row.owner, row.checkpoint, count(database, EFFECT), count(database, FILE),
    )  # fmt: skip


def test_a_job_at_work_gives_signs_of_life_and_shows_how_far_it_is(database: Database, worker: Worker) -> None:
    def handle(parameters: Steps, job: Job) -> None:
        before = row_of(database, asked).busy_until
        job.progress(1, 4, "a quarter\nof it")
        until(lambda: row_of(database, asked).progress == 0.25)
        until(lambda: row_of(database, asked).busy_until > before)
        assert ("running", "a quarter of it") == (row_of(database, asked).state, row_of(database, asked).progress_text)

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert Done() == worker.deliver(kind, asked)


def test_a_job_that_is_cancelled_at_work_ends_at_its_next_look_and_keeps_what_its_steps_did(
    database: Database, worker: Worker
) -> None:
    def handle(parameters: Steps, job: Job) -> None:
        step_by_step(Steps(steps=1), job)
        job.mail.send("welcome", to="ada@example.com", number=7)
        change(database, asked, cancelled_at=datetime.now(UTC))
        until(lambda: job.progress(1, parameters.steps))

    with kind_of_jobs(handle, announce=True) as kind:
        asked = ask(database)
        assert Done() == worker.deliver(kind, asked)
    row = row_of(database, asked)
    assert ("cancelled", [0], 0) == (row.state, numbers(worker), count(database, FILE))
    assert row.finished_at is not None
    with database.reading() as session:
        assert ["job.ended"] == list(session.connection().execute(select(OUTBOX.c.type)).scalars())


def test_a_job_that_asks_whether_it_is_cancelled_may_return_what_it_likes(database: Database, worker: Worker) -> None:
    def handle(parameters: Steps, job: Job) -> str:
        assert not job.cancelled()
        change(database, asked, cancelled_at=datetime.now(UTC))
        until(job.cancelled)
        return "half"

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert Done() == worker.deliver(kind, asked)
    assert ("cancelled", 0) == (row_of(database, asked).state, count(database, FILE))


def test_a_job_that_was_cancelled_while_nobody_worked_on_it_is_not_run(database: Database, worker: Worker) -> None:
    with kind_of_jobs(step_by_step) as kind:
        asked, left = ask(database), ask(database)
        change(database, asked, state="cancelled", cancelled_at=datetime.now(UTC))
        change(database, left, state="running", cancelled_at=datetime.now(UTC), busy_until=datetime.now(UTC))
        assert [Done(), Done()] == [worker.deliver(kind, each) for each in (asked, left)]
    assert ("cancelled", "cancelled", 0) == (
        row_of(database, asked).state, row_of(database, left).state, count(database, ACTIVITY),
    )  # fmt: skip


@pytest.mark.parametrize(("attempt", "expected"), [(1, RetryLater), (99, Park)])
def test_a_try_that_fails_after_it_was_cancelled_is_cancelled_and_not_tried_again(
    database: Database, worker: Worker, attempt: int, expected: type
) -> None:
    def handle(parameters: Steps, job: Job) -> None:
        change(database, asked, cancelled_at=datetime.now(UTC), error="Cancelled by Ada.")
        raise ConnectionError("away")

    worker.make(interval=60.0)
    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert isinstance(worker.deliver(kind, asked, attempt=attempt), expected)
        assert ("cancelled", "Cancelled by Ada.") == (row_of(database, asked).state, row_of(database, asked).error)
        assert Done() == worker.deliver(kind, asked, attempt=attempt + 1)
    assert "cancelled" == row_of(database, asked).state


@pytest.mark.parametrize("why", ["stopping", "long"])
def test_a_job_is_handed_back_with_its_checkpoint_and_goes_on_as_the_same_try(
    database: Database, worker: Worker, why: str
) -> None:
    worker.make(stint=0.0 if why == "long" else 900.0)
    worker.is_stopping = why == "stopping"
    with kind_of_jobs(step_by_step) as kind:
        asked = ask(database)
        outcomes = [worker.deliver(kind, asked, attempt=2), worker.deliver(kind, asked, attempt=2)]
        assert [ComeBack, ComeBack] == [type(each) for each in outcomes]
        row = row_of(database, asked)
        assert ("queued", 2, None, "retrying") == (
            row.state, row.attempts, row.busy_until, entry(database, asked.id).state,
        )  # fmt: skip
        assert 0 < row.worked
        worker.make()
        worker.is_stopping = False
        assert Done() == worker.deliver(kind, asked, attempt=2)
    assert ("succeeded", 3, [0, 1, 2]) == (row_of(database, asked).state, count(database, ACTIVITY), numbers(worker))


def test_the_time_limit_is_for_all_the_stints_of_a_try(database: Database, worker: Worker) -> None:
    with kind_of_jobs(step_by_step, timeout=60.0) as kind:
        asked = ask(database)
        change(database, asked, worked=60.0)
        outcome = worker.deliver(kind, asked)
        assert isinstance(outcome, RetryLater)
        assert outcome.error.startswith("TimeoutError: ")
        assert Done() == worker.deliver(kind, asked, attempt=2)


class Interrupt(BaseException):
    """As the time limit raises it."""


def test_a_job_that_is_interrupted_by_the_end_of_its_process_costs_no_try_and_is_free_at_once(
    database: Database, worker: Worker, tmp_path: Path
) -> None:
    def handle(parameters: Steps, job: Job) -> None:
        step_by_step(parameters, job)
        if not worker.is_stopping:
            worker.is_stopping = True
            raise Interrupt

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        with pytest.raises(Interrupt):
            worker.deliver(kind, asked)
        assert ("queued", None) == (row_of(database, asked).state, row_of(database, asked).busy_until)
        assert Done() == Worker(database, tmp_path).deliver(kind, asked, redelivered=True)
    assert 3 == count(database, ACTIVITY)
