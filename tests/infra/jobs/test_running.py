"""A job from its message to its end: begun, worked on, ended once, and every failure where it belongs."""

import asyncio
import time
from typing import Any

import pytest
from pydantic import field_validator

from events.clock import DayEnded
from infra.database import inbox, replays
from infra.database.engine import Database
from infra.database.job_tables import JobFile
from infra.database.tables import Activity, Effect, Outbox, table
from infra.errors import DatabaseUnavailable
from infra.jobs.handlers import Job
from infra.outcomes import ComeBack, Done, Hold, Park, RetryLater
from infra.rabbitmq.time_limit import HandlerTimeLimit
from infra.retrying import Retry
from tests import jobs
from tests.jobs import Steps, Worker, ask, change, count, entry, kind_of_jobs, numbers, row_of, step_by_step

ACTIVITY, EFFECT, OUTBOX, FILE = table(Activity), table(Effect), table(Outbox), table(JobFile)


def test_a_job_runs_from_its_message_to_its_result(database: Database, worker: Worker) -> None:
    with kind_of_jobs(step_by_step) as kind:
        asked = ask(database, steps=3)
        assert Done() == worker.deliver(kind, asked)
    row = row_of(database, asked)
    assert ("succeeded", 1.0, "step 3", 1, None) == (
        row.state,
        row.progress,
        row.progress_text,
        row.attempts,
        row.error,
    )
    assert row.created_at <= row.started_at <= row.finished_at
    assert (3, [0, 1, 2], 1, "handled") == (
        count(database, ACTIVITY), numbers(worker), count(database, FILE), entry(database, asked.id).state,
    )  # fmt: skip


def test_a_coroutine_function_does_jobs_too(database: Database, worker: Worker) -> None:
    async def handle(parameters: Steps, job: Job) -> str:
        job.checkpoint(parameters.steps)
        return "through"

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert Done() == worker.deliver(kind, asked)
    assert ("succeeded", {"state": 3}) == (row_of(database, asked).state, row_of(database, asked).checkpoint)


def test_a_job_that_is_stopped_in_a_task_of_its_own_is_handed_back_and_the_others_go_on(
    database: Database, worker: Worker
) -> None:
    async def look(job: Job) -> None:
        job.progress(1, 2)

    async def handle(parameters: Steps, job: Job) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(look(job))
            group.create_task(asyncio.sleep(60))
        return "through"

    async def at_once(parameters: Steps, job: Job) -> str:
        return "through"

    with kind_of_jobs(handle) as kind, kind_of_jobs(at_once, "other") as other:
        asked, second = ask(database), ask(database, "other")
        worker.is_stopping = True
        assert isinstance(worker.deliver(kind, asked), ComeBack)
        assert Done() == worker.deliver(other, second)
    assert ("queued", "succeeded") == (row_of(database, asked).state, row_of(database, second).state)


def test_a_failed_try_is_retrying_and_the_next_one_goes_on_where_it_was(database: Database, worker: Worker) -> None:
    states: list[Any] = []

    def handle(parameters: Steps, job: Job) -> None:
        states.append((job.attempt, job.resume_state))
        job.checkpoint({"page": 7})
        if job.attempt == 1:
            raise ConnectionError("away")

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert RetryLater(5, "ConnectionError: away") == worker.deliver(kind, asked)
        row = row_of(database, asked)
        assert ("retrying", "ConnectionError: away", None) == (row.state, row.error, row.busy_until)
        assert entry(database, asked.id).retry_at == row.retry_at
        assert Done() == worker.deliver(kind, asked, attempt=2)
    row = row_of(database, asked)
    assert ("succeeded", 2, None, None) == (row.state, row.attempts, row.error, row.retry_at)
    assert [(1, None), (2, {"page": 7})] == states


def test_what_a_failed_try_published_after_its_last_checkpoint_is_not_published(
    database: Database, worker: Worker
) -> None:
    def handle(parameters: Steps, job: Job) -> None:
        job.publish(DayEnded(day=job.requested_at.date()))
        job.checkpoint(1)
        job.publish(DayEnded(day=job.requested_at.date()))
        raise ConnectionError("away")

    with kind_of_jobs(handle) as kind:
        worker.deliver(kind, ask(database))
    assert 1 == count(database, OUTBOX)


def test_a_job_that_is_given_up_is_failed_and_a_replay_of_its_letter_goes_on_from_its_checkpoint(
    database: Database, worker: Worker
) -> None:
    fails = [True]

    def handle(parameters: Steps, job: Job) -> None:
        step_by_step(parameters, job)
        if fails:
            raise ValueError("no")

    with kind_of_jobs(handle, retry=Retry(Retry.never(ValueError))) as kind:
        asked = ask(database)
        assert isinstance(worker.deliver(kind, asked), Park)
        row = row_of(database, asked)
        assert ("failed", "ValueError: no", []) == (row.state, row.error, numbers(worker))
        assert row.finished_at is not None
        fails.clear()
        assert Done() == worker.deliver(kind, asked, replay=True)
    assert ("succeeded", None) == (row_of(database, asked).state, row_of(database, asked).error)
    assert (3, [0, 1, 2]) == (count(database, ACTIVITY), numbers(worker))


def test_parameters_that_do_not_fit_fail_the_job_at_once_and_are_not_quoted(database: Database, worker: Worker) -> None:
    class Strict(Steps):
        @field_validator("steps")
        @classmethod
        def _few(cls, value: int) -> int:
            if value > 10:
                raise ValueError(f"{value} is too many")
            return value

    always = Retry(Retry.on(Exception, delays=(5, 5, 5)))
    with kind_of_jobs(step_by_step, parameters=Strict, retry=always) as kind:
        asked = ask(database, steps=4711)
        outcome = worker.deliver(kind, asked)
    assert isinstance(outcome, Park)
    assert "InvalidParameters: Strict: steps: value_error" == outcome.error == row_of(database, asked).error
    assert "failed" == row_of(database, asked).state


def test_a_message_that_asks_for_a_job_that_is_not_there_is_given_up(database: Database, worker: Worker) -> None:
    with kind_of_jobs(step_by_step) as kind:
        asked = ask(database)
        with database.transaction() as session:
            session.connection().execute(jobs.JOB.delete())
        outcome = worker.deliver(kind, asked)
    assert isinstance(outcome, Park)
    assert outcome.error.startswith("NoSuchJob: ")


def test_a_second_copy_of_the_message_does_nothing(database: Database, worker: Worker) -> None:
    with kind_of_jobs(step_by_step) as kind:
        asked = ask(database)
        assert [Done()] * 3 == [worker.deliver(kind, asked, **signs) for signs in ({}, {}, {"redelivered": True})]
    assert (3, [0, 1, 2], "succeeded") == (count(database, ACTIVITY), numbers(worker), row_of(database, asked).state)


def test_a_mail_that_fails_does_not_fail_the_job_and_is_tried_alone(database: Database, worker: Worker) -> None:
    worker.failures = [ConnectionError("451")]
    with kind_of_jobs(step_by_step) as kind:
        asked = ask(database)
        assert isinstance(worker.deliver(kind, asked), RetryLater)
        assert ("succeeded", []) == (row_of(database, asked).state, numbers(worker))
        assert Done() == worker.deliver(kind, asked, attempt=2)
    assert ("succeeded", [0, 1, 2], 3) == (row_of(database, asked).state, numbers(worker), count(database, ACTIVITY))


@pytest.mark.parametrize("attempt", [1, 99], ids=["comes again", "is given up"])
def test_a_try_that_fails_in_the_commit_of_its_end_is_a_failed_one(
    database: Database, worker: Worker, attempt: int
) -> None:
    def handle(parameters: Steps, job: Job) -> str:
        if job.attempt == attempt:
            job.perform("mail", template="welcome", values={object()})
        return "through"

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        outcome = worker.deliver(kind, asked, attempt=attempt)
        assert isinstance(outcome, RetryLater | Park)
        row = row_of(database, asked)
        assert ("retrying" if attempt == 1 else "failed", outcome.error, None) == (
            row.state, row.error, row.busy_until,
        )  # fmt: skip
        assert Done() == worker.deliver(kind, asked, attempt=attempt + 1, replay=True)
    assert "succeeded" == row_of(database, asked).state


def test_a_replay_that_is_forced_runs_a_job_again_from_its_start(database: Database, worker: Worker) -> None:
    states: list[Any] = []

    def handle(parameters: Steps, job: Job) -> None:
        states.append(job.resume_state)
        job.mail.send("welcome", to="ada@example.com", number=0)
        job.checkpoint(1)

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        worker.deliver(kind, asked)
        with database.transaction() as session:
            inbox.reopen(session, [(asked.id, "tested")], force=True)
            replays.effects.forget(session, [(asked.id, "tested")])  # type: ignore[attr-defined]
        assert Done() == worker.deliver(kind, asked, replay=True)
    assert ([None, None], "succeeded", 2) == (states, row_of(database, asked).state, len(worker.performed))


def test_a_failed_job_of_a_unique_kind_waits_at_its_replay_until_the_other_one_is_through(
    database: Database, worker: Worker
) -> None:
    with kind_of_jobs(step_by_step, unique="refuse") as kind:
        failed = ask(database, unique_key="same")
        change(database, failed, state="failed")
        other = ask(database, unique_key="same")
        assert isinstance(worker.deliver(kind, failed, replay=True), ComeBack)
        assert [Done(), Done()] == [worker.deliver(kind, other), worker.deliver(kind, failed, replay=True)]


def test_a_job_that_the_database_kept_from_its_end_goes_on_in_the_same_process(
    database: Database, worker: Worker
) -> None:
    away = [DatabaseUnavailable("away")]

    def handle(parameters: Steps, job: Job) -> None:
        step_by_step(parameters, job)
        if away:
            raise away.pop()

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert [Hold("away"), Done()] == [worker.deliver(kind, asked), worker.deliver(kind, asked)]
    assert ("succeeded", 3, 1) == (
        row_of(database, asked).state, count(database, ACTIVITY), row_of(database, asked).attempts,
    )  # fmt: skip


async def asleep(parameters: Steps, job: Job) -> None:
    """A coroutine that looks at nothing."""
    job.checkpoint("asleep")
    await asyncio.sleep(60)


def busy(parameters: Steps, job: Job) -> None:
    """A function that does not either."""
    job.checkpoint("busy")
    for _ in range(100_000):
        time.sleep(0.001)


@pytest.mark.parametrize("handle", [asleep, busy], ids=["coroutine", "function"])
def test_a_job_that_looks_at_nothing_is_interrupted_at_its_time_limit_and_tried_again(
    database: Database, worker: Worker, handle: Any
) -> None:
    limit = HandlerTimeLimit()
    limit.thread.start()
    with kind_of_jobs(handle, timeout=0.5) as kind:
        asked = ask(database)
        outcome = limit.call(lambda _: worker.deliver(kind, asked), None, kind.timeout)
    assert isinstance(outcome, RetryLater)
    row = row_of(database, asked)
    assert ("retrying", {"state": handle.__name__}) == (row.state, row.checkpoint)
    assert row.error.startswith("TimeLimitExceeded")
