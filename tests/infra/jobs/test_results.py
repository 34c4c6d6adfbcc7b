"""The files of a try: measured while they are written, counted in its commits, removed when it fails."""

import csv
import io
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import ZipFile

import pytest
from pydantic import BaseModel

from infra.database import job_files
from infra.database.engine import Database
from infra.database.job_tables import JobFile
from infra.errors import ConfigurationError, UnfitResult
from infra.jobs.kinds import Kind, job
from infra.jobs.results import Results
from infra.jobs.storing import Folder, WithSmall
from infra.retention import FOREVER

WEEK = timedelta(weeks=1)
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Sum(BaseModel):
    total: int


def kind(result: Any) -> Kind:
    return Kind("sums", print, Sum, result)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "results")


@pytest.fixture
def job_id() -> str:
    return str(uuid4())


@pytest.fixture
def results(folder: Folder, job_id: str) -> Results:
    return Results(WithSmall(folder), job_id, WEEK)


def counted(database: Database, results: Results, now: datetime = NOW) -> None:
    """A commit of the try."""
    with database.transaction() as session:
        results.count(session, now)
    results.counted()


def write(results: Results, name: str, content: bytes = b"x", media_type: str = "text/plain") -> None:
    with results.file(name, media_type) as file:
        file.write(content)


def files(database: Database, job_id: str) -> list[JobFile]:
    with database.reading() as session:
        return job_files.of(session, job_id)


def content(folder: Folder, file: JobFile) -> bytes:
    with WithSmall(folder).open(str(file.key)) as opened:
        return opened.read()


def on_disk(folder: Folder) -> int:
    return sum(path.is_file() for path in folder.folder.rglob("*"))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ((Sum, Sum(total=3)), ("sums.json", "application/json", b'{"total":3}')),
        ((Sum, {"total": 3}), ("sums.json", "application/json", b'{"total":3}')),
        (("text/csv", "Zürich\n"), ("sums.csv", "text/csv", "Zürich\n".encode())),
        (("text/html; charset=utf-8", b"<p>"), ("sums.html", "text/html; charset=utf-8", b"<p>")),
        (("application/x-unheard-of", b""), ("sums.bin", "application/x-unheard-of", b"")),
    ],
)
def test_what_the_function_returns_is_the_main_file(
    database: Database, results: Results, folder: Folder, job_id: str, *, made: Any, expected: Any
) -> None:
    result, value = made
    write(results, "notes.txt")
    results.main(value, kind(result))
    counted(database, results)
    first, notes = files(database, job_id)
    assert expected == (first.name, first.media_type, content(folder, first))
    assert (sha256(expected[2]).hexdigest(), len(expected[2])) == (first.digest, first.size)
    assert (0, 1, "notes.txt") == (first.ordinal, notes.ordinal, notes.name)
    assert (NOW, NOW + WEEK) == (first.created_at, first.expires_at)


def test_a_path_is_taken_over(
    database: Database, results: Results, folder: Folder, job_id: str, tmp_path: Path
) -> None:
    (made := tmp_path / "made").write_bytes(b"much")
    results.main(made, kind("application/pdf"))
    assert made.exists()  # until the commit: the next try may have no other
    counted(database, results)
    (file,) = files(database, job_id)
    assert ("sums.pdf", b"much", 4, False) == (file.name, content(folder, file), file.size, made.exists())


@pytest.mark.parametrize(("result", "value"), [(Sum, {"total": "secret"}), (Sum, "secret"), ("text/csv", 3), (None, 1)])
def test_what_does_not_fit_its_kind_is_refused_without_being_shown(results: Results, result: Any, value: Any) -> None:
    with pytest.raises(UnfitResult, match=r"^sums: .* gives") as caught:
        results.main(value, kind(result))
    assert "secret" not in str(caught.value)


def test_a_function_that_returns_nothing_has_only_what_it_wrote(
    database: Database, results: Results, job_id: str
) -> None:
    results.main(None, kind("text/csv"))
    counted(database, results)
    assert [] == files(database, job_id)


@pytest.mark.parametrize("result", ["csv", "text/csv\r\nx: y", "Text/CSV", 7, int, "text/csv; charset"])
def test_a_kind_says_a_media_type_or_a_model(result: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^sums: result is a Pydantic model or a media type"):
        job("sums", parameters=Sum, result=result)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("../x", "text/csv"),
        ("", "text/csv"),
        (".hidden", "text/csv"),
        ('a"b', "text/csv"),
        ("a\r\nb", "text/csv"),
        ("a", "csv"),
        ("a", "text/csv\r\nx: y"),
        ("x" * 101, "text/csv"),
    ],
)
def test_a_file_has_a_plain_name_and_a_media_type(results: Results, name: str, media_type: str) -> None:
    with pytest.raises(UnfitResult, match="plain name"), results.file(name, media_type):
        pass


def test_files_are_written_with_the_usual_tools(
    database: Database, results: Results, folder: Folder, job_id: str
) -> None:
    with results.file("rows.csv", "text/csv") as file, io.TextIOWrapper(file, newline="") as text:
        csv.writer(text).writerow(["Zürich", 1])
    with results.file("all.zip", "application/zip") as file, ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "hello")
    counted(database, results)
    rows, packed = files(database, job_id)
    assert "Zürich,1\r\n".encode() == content(folder, rows)
    assert b"hello" == ZipFile(io.BytesIO(content(folder, packed))).read("a.txt")
    assert [sha256(content(folder, each)).hexdigest() for each in (rows, packed)] == [rows.digest, packed.digest]


def test_a_try_that_fails_removes_what_no_commit_counted(
    database: Database, results: Results, folder: Folder, job_id: str
) -> None:
    write(results, "first.txt")
    counted(database, results)
    write(results, "second.txt")
    with pytest.raises(RuntimeError), results.file("third.txt", "text/plain"):
        raise RuntimeError
    results.discard()
    results.discard()
    assert (["first.txt"], 1) == ([each.name for each in files(database, job_id)], on_disk(folder))


def test_a_try_that_fails_leaves_what_a_commit_may_have_counted(
    database: Database, results: Results, folder: Folder, job_id: str
) -> None:
    """Its answer was lost, so what became of it is for the cleaning to find out."""
    write(results, "first.txt")
    with database.transaction() as session:
        results.count(session, NOW)
    write(results, "second.txt")
    results.discard()
    assert (["first.txt"], 1) == ([each.name for each in files(database, job_id)], on_disk(folder))


def test_a_commit_that_fails_leaves_its_files_to_the_next_one(
    database: Database, results: Results, job_id: str
) -> None:
    write(results, "a.txt")
    with pytest.raises(RuntimeError), database.transaction() as session:  # noqa: PT012  # it fails after the rows
        results.count(session, NOW)
        raise RuntimeError
    assert [] == files(database, job_id)
    counted(database, results)
    assert ["a.txt"] == [each.name for each in files(database, job_id)]


def test_the_next_try_goes_on_behind_what_checkpoints_counted_and_all_are_kept_as_long_as_the_last(
    database: Database, results: Results, folder: Folder, job_id: str
) -> None:
    write(results, "a.txt", b"of the first try")
    write(results, "b.txt")
    counted(database, results)
    again = Results(folder, job_id, WEEK)
    write(again, "c.txt")
    again.main("x", kind("text/csv"))
    counted(database, again, NOW + WEEK)
    found = files(database, job_id)
    assert [(0, "sums.csv"), (1, "a.txt"), (2, "b.txt"), (3, "c.txt")] == [(each.ordinal, each.name) for each in found]
    assert {NOW + 2 * WEEK} == {each.expires_at for each in found}


@pytest.mark.parametrize("between", [False, True], ids=["in one commit", "in two commits"])
def test_a_file_of_the_same_name_takes_the_others_place(
    database: Database, results: Results, folder: Folder, job_id: str, between: bool
) -> None:
    write(results, "other.txt")
    write(results, "state.txt", b"old")
    if between:
        counted(database, results)
    write(results, "state.txt", b"new")
    write(results, "last.txt")
    counted(database, results)
    found = files(database, job_id)
    assert ["other.txt", "state.txt", "last.txt"] == [each.name for each in found]
    assert (b"new", len(found)) == (content(folder, found[1]), len({each.ordinal for each in found}))
    assert between == (on_disk(folder) > 3)  # what a commit had counted is the cleaning's


def test_what_is_kept_for_ever_never_expires(database: Database, folder: Folder, job_id: str) -> None:
    results = Results(folder, job_id, FOREVER)
    write(results, "a.txt")
    counted(database, results)
    assert [None] == [each.expires_at for each in files(database, job_id)]


def test_files_of_several_jobs_are_read_together_and_a_removed_one_has_no_key(
    database: Database, folder: Folder
) -> None:
    jobs = [str(uuid4()) for _ in range(3)]
    for job_id in jobs[:2]:
        results = Results(folder, job_id, WEEK)
        write(results, "a.txt")
        counted(database, results)
    with database.transaction() as session:
        found = job_files.of_each(session, jobs)
        assert [1, 1, 0] == [len(found[job_id]) for job_id in jobs]
        keys = [str(found[job_id][0].key) for job_id in jobs[:2]]
        assert ({keys[0]}, set()) == tuple(job_files.stored(session, [job_id]) for job_id in jobs[::2])
        assert [1, 0] == [job_files.removed(session, {keys[0]: jobs[0]}) for _ in range(2)]
        assert [None, keys[1]] == [job_files.of(session, job_id)[0].key for job_id in jobs[:2]]
