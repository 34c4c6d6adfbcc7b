"""Jobs that begin or end at the same time share their statements, and nothing else."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from events.envelope import Envelope
from infra.database import job_begins, job_runs
from infra.database.engine import Database
from infra.database.job_begins import Held, Over, Request, Run
from infra.database.job_runs import Ended, Ending, Far
from infra.database.job_tables import JobFile
from infra.database.tables import table
from infra.database.writer import Refused
from infra.errors import LeaseLost
from infra.jobs.handlers import Job
from infra.outcomes import Done, Park, PassedOver, RetryLater
from tests import jobs
from tests.jobs import Steps, Worker, ask, change, count, kind_of_jobs, row_of

ME, OTHER = "me-1 1 x", "other-1 1 x"


def _request(asked: Envelope, **changes: Any) -> Request:
    said = {"job_id": str(asked.subject), "event_id": asked.id, "kind": "tested", "attempt": 1, "is_replay": False}
    return Request(**{**said, **changes})


def _begin(database: Database, *these: Request) -> list[Any]:
    with database.transaction() as session:
        return job_begins.begin(session, these, owner=ME)


def test_of_jobs_that_begin_together_each_gets_its_own_answer(database: Database) -> None:
    first, second, other, over, retried = (ask(database) for _ in range(5))
    change(database, first, progress_text="mine", checkpoint={"state": 7})
    change(database, other, state="running", owner=OTHER, busy_until=first.time.replace(year=2099))
    change(database, over, state="succeeded", effects=3)
    change(database, retried, state="retrying", attempts=1, worked=9.0)
    these = [_request(each) for each in (first, second, other, over)]
    nobody = _request(first, job_id="nobody", event_id="nothing")
    found = _begin(database, *these, nobody, _request(retried, attempt=2))
    assert [Run, Run, Held, Over, Refused, Run] == [type(each) for each in found]
    assert ("mine", {"state": 7}, "", None) == (
        found[0].progress_text, found[0].checkpoint, found[1].progress_text, found[1].checkpoint,
    )  # fmt: skip
    assert (3, 0.0) == (found[3].effects, found[5].worked)
    rows = [row_of(database, each) for each in (first, second, retried)]
    assert [("running", ME, 1), ("running", ME, 1), ("running", ME, 2)] == [
        (row.state, row.owner, row.attempts) for row in rows
    ]


def test_a_job_is_not_begun_by_the_event_of_another_one(database: Database) -> None:
    first, second = ask(database), ask(database)
    (found,) = _begin(database, _request(first, event_id=second.id))
    assert isinstance(found, Refused)
    assert ("queued", "queued") == (row_of(database, first).state, row_of(database, second).state)


def test_who_begins_is_told_whether_the_job_has_files(database: Database) -> None:
    with_file, without = ask(database), ask(database)
    file: dict[str, Any] = {
        "job_id": str(with_file.subject), "ordinal": 0, "name": "a.txt", "media_type": "text/plain", "key": "k",
        "size": 1, "digest": "d", "created_at": with_file.time,
    }  # fmt: skip
    with database.transaction() as session:
        session.add(JobFile(**file))
    found = _begin(database, _request(with_file), _request(without))
    assert [True, False] == [each.has_files for each in found]


def test_when_one_of_several_ends_was_lost_all_of_them_are_told(database: Database) -> None:
    """The writer then has each of them written alone."""
    asked = [ask(database) for _ in range(3)]
    runs = _begin(database, *(_request(each) for each in asked))
    change(database, asked[1], owner=OTHER)
    endings: tuple[Ending, ...] = ("succeeded", "succeeded", "cancelled")
    ends = [Ended(run, ending, Far(1.0), 1.0) for run, ending in zip(runs, endings, strict=True)]
    with pytest.raises(LeaseLost), database.transaction() as session:
        job_runs.end(session, ends)
    assert ["running"] * 3 == [row_of(database, each).state for each in asked]
    with database.transaction() as session:
        job_runs.end(session, [ends[0], ends[2]])
    assert ["succeeded", "running", "cancelled"] == [row_of(database, each).state for each in asked]


def test_many_at_once_end_each_in_its_own_way(database: Database, worker: Worker) -> None:
    """One is lost, one fails, one is cancelled, one has no row; all others succeed, each with its own result."""
    together = threading.Barrier(15, timeout=30)
    asked = [ask(database, steps=number + 1) for number in range(16)]

    def handle(parameters: Steps, job: Job) -> str:
        together.wait()
        if parameters.steps == 2:
            change(database, asked[1], owner=OTHER)
            return "a text that is too long for a row " * 100
        if parameters.steps == 3:
            raise ValueError("no")
        if parameters.steps == 4:
            worker.running._last.working.knows_of_cancel = True  # type: ignore[union-attr]
        return f"result {parameters.steps}"

    with database.transaction() as session:
        session.connection().execute(jobs.JOB.delete().where(jobs.JOB.c.event_id == asked[15].id))
    with kind_of_jobs(handle, concurrency=16) as kind, ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(lambda each: worker.deliver(kind, each), asked))
    assert [Done, PassedOver, RetryLater, Done] == [type(each) for each in outcomes[:4]]
    assert [Done()] * 11 == outcomes[4:15]
    assert isinstance(outcomes[15], Park)
    states = [row_of(database, each).state for each in asked[:15]]
    assert ["succeeded", "running", "retrying", "cancelled", *["succeeded"] * 11] == states
    file = table(JobFile)
    with database.reading() as session:
        counted = session.connection().execute(select(file.c.job_id, file.c.size)).all()
    assert 12 == len(counted) == count(database, file)
    assert [] == [each for each in worker.folder.rglob("*") if each.is_file()], "the lost one's result is removed"
    assert {str(each.subject) for each in (asked[0], *asked[4:15])} == {row.job_id for row in counted}
