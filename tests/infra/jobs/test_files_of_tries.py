"""The files of a job's tries: those of checkpoints stay, those of a try that fails go, and nothing is left over."""

from pathlib import Path
from typing import Any

import pytest

from infra.database import job_files
from infra.database.engine import Database
from infra.errors import DatabaseUnavailable
from infra.jobs.handlers import Job
from infra.jobs.storing import Folder, WithSmall
from infra.outcomes import ComeBack, Done, Hold, Park, RetryLater
from tests.jobs import Steps, Worker, ask, change, kind_of_jobs, row_of


def write(job: Job, name: str, content: str) -> None:
    with job.file(name, "text/plain") as file:
        file.write(content.encode())


def contents(database: Database, job_id: str, folder: Path) -> dict[str, bytes]:
    """What the result has, by name; the main file is first."""
    with database.reading() as session:
        files = job_files.of(session, job_id)
    found = {}
    for each in files:
        with WithSmall(Folder(folder)).open(str(each.key)) as opened:
            found[each.name] = opened.read()
    return found


def on_disk(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def test_a_try_that_fails_leaves_what_its_checkpoints_counted_and_the_next_one_adds_to_it(
    database: Database, worker: Worker
) -> None:
    def handle(parameters: Steps, job: Job) -> str:
        for number in range(job.resume_state or 0, 3):
            write(job, f"part-{number}.txt", f"{number} of try {job.attempt}")
            if number == 1 and job.attempt == 1:
                raise ConnectionError("away")
            job.checkpoint(number + 1)
        return "all"

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        worker.deliver(kind, asked)
        job_id = row_of(database, asked).id
        assert ({"part-0.txt": b"0 of try 1"}, 1) == (contents(database, job_id, worker.folder), on_disk(worker.folder))
        assert Done() == worker.deliver(kind, asked, attempt=2)
    expected = [b"all", b"0 of try 1", b"1 of try 2", b"2 of try 2"]
    found = contents(database, job_id, worker.folder)
    # What the function gave is so small that it needs no file.
    assert (expected, "tested.txt", 3) == ([*found.values()], next(iter(found)), on_disk(worker.folder))


def test_what_is_handed_back_takes_its_files_from_its_checkpoints_along(database: Database, worker: Worker) -> None:
    def handle(parameters: Steps, job: Job) -> None:
        if job.resume_state is None:
            write(job, "counted.txt", "1")
            job.checkpoint(1)
            write(job, "lost.txt", "x")
            worker.is_stopping = True
            job.progress(0.5)
        write(job, "after.txt", "2")

    with kind_of_jobs(handle, result=None) as kind:
        asked = ask(database)
        assert isinstance(worker.deliver(kind, asked), ComeBack)
        worker.is_stopping = False
        assert Done() == worker.deliver(kind, asked)
    found = contents(database, row_of(database, asked).id, worker.folder)
    assert ({"counted.txt": b"1", "after.txt": b"2"}, 2) == (found, on_disk(worker.folder))


def test_a_path_that_the_function_gives_is_there_until_the_end_is_committed(
    database: Database, worker: Worker, tmp_path: Path
) -> None:
    (made := tmp_path / "made").write_bytes(b"much")

    def handle(parameters: Steps, job: Job) -> Path:
        if job.attempt == 1:
            job.perform("mail", template="welcome", values={object()})  # which the commit refuses
        return made

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert isinstance(worker.deliver(kind, asked), RetryLater)
        assert made.exists()
        assert Done() == worker.deliver(kind, asked, attempt=2)
    assert ({"tested.txt": b"much"}, False) == (
        contents(database, row_of(database, asked).id, worker.folder), made.exists(),
    )  # fmt: skip


def test_a_checkpoint_whose_answer_was_lost_keeps_its_files(
    database: Database, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = database.run

    def lost(work: Any) -> Any:
        run(work)
        monkeypatch.undo()
        raise DatabaseUnavailable("away")

    def handle(parameters: Steps, job: Job) -> None:
        if job.resume_state is None:
            write(job, "notes.txt", "x")
            monkeypatch.setattr(database, "run", lost)
            job.checkpoint(1)

    worker.make(interval=60.0)
    with kind_of_jobs(handle, result=None) as kind:
        asked = ask(database)
        assert [Hold("away"), Done()] == [worker.deliver(kind, asked), worker.deliver(kind, asked)]
    assert {"notes.txt": b"x"} == contents(database, row_of(database, asked).id, worker.folder)


def test_a_job_that_is_cancelled_keeps_no_file_that_nothing_counts(database: Database, worker: Worker) -> None:
    def handle(parameters: Steps, job: Job) -> str:
        write(job, "notes.txt", "x")
        return "not counted"

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        change(database, asked, cancelled_at=row_of(database, asked).created_at)
        assert Done() == worker.deliver(kind, asked)
    assert ("cancelled", 0) == (row_of(database, asked).state, on_disk(worker.folder))


def test_a_function_that_gives_what_its_kind_does_not_say_fails_at_once(database: Database, worker: Worker) -> None:
    def handle(parameters: Steps, job: Job) -> Any:
        write(job, "notes.txt", "x")
        return 7

    with kind_of_jobs(handle) as kind:
        asked = ask(database)
        assert isinstance(worker.deliver(kind, asked), Park)
    row = row_of(database, asked)
    assert ("failed", 0) == (row.state, on_disk(worker.folder))
    assert row.error.endswith("tested: its function gives neither text, bytes nor a Path, as text/plain has to be.")
