"""`./tidings jobs`: what people and programs see, and every way to type it wrongly."""

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from infra import commands
from infra.commands import watching
from infra.database import audit
from infra.database.engine import Database
from infra.database.job_tables import Job, JobFile
from infra.database.tables import table
from infra.jobs import storing
from infra.jobs.commands import app
from infra.jobs.storing import Folder
from infra.settings import load
from tests import kinds
from tests.kinds import REPORT

RUN = ["run", REPORT, "since=2026-11-01T00:00:00Z"]
NOBODY = "00000000-0000-7000-8000-000000000000"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def machine(database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings name the test's database; Ada types."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    monkeypatch.setenv("TIDINGS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("LOGNAME", "ada")
    kinds.declare(database, kinds.subscription(), kinds.subscription("joining", kinds.Anything, unique="join"))


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(app, "./tidings jobs", list(words))
        output, errors = capfdbinary.readouterr()
        return code, output.decode(), errors.decode()

    return type_in


def told(run: Run, *words: str) -> Any:
    """What a command says to programs."""
    code, output, errors = run(*words, "--json")
    assert (0, "") == (code, errors)
    return json.loads(output)


def change(database: Database, job_id: str, **values: Any) -> None:
    """As a worker would."""
    statement = update(table(Job)).where(table(Job).c.id == job_id).values(**values)
    database.run(lambda session: session.connection().execute(statement))


def give(database: Database, job_id: str, name: str, media_type: str, content: bytes, *, ordinal: int = 0) -> None:
    """A file of its result, with which it has succeeded."""
    key, now = storing.new_key(job_id), datetime.now(UTC)
    with storing.store(load().results).put(key) as file:
        file.write(content)
    row = {"job_id": job_id, "ordinal": ordinal, "name": name, "media_type": media_type, "key": key}
    row |= {"size": len(content), "digest": "0" * 64, "created_at": now, "expires_at": now + timedelta(days=7)}
    database.run(lambda session: session.connection().execute(insert(table(JobFile)).values(**row)))
    change(database, job_id, state="succeeded", finished_at=now, progress=1.0)


def made(run: Run) -> str:
    """Id of a new job."""
    return str(told(run, *RUN)["id"])


def test_a_job_is_asked_for_with_its_parameters_and_a_reason(run: Run, database: Database) -> None:
    code, output, errors = run(*RUN, "days=3", "code=abc", "--why", "a test")
    (job,) = told(run, "list")["items"]
    assert (0, "", f"{job['id']} is queued: ./tidings jobs show {job['id']}\n") == (code, errors, output)
    assert {"since": "2026-11-01T00:00:00Z", "days": 3, "code": "abc"} == job["parameters"]
    assert ("queued", "ada") == (job["state"], job["requested_by"])
    with database.reading() as session:
        (deed,) = audit.page(session, audit.Filter(), before=None, limit=9)
    assert ("ada", "job.start", job["id"], "a test") == (deed.who, deed.action, deed.target, deed.why)


def test_parameters_may_come_as_json_too_and_what_is_typed_counts(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "parameters.json"
    file.write_text('{"since": "2026-11-01T00:00:00Z", "days": 3}')
    assert 4 == told(run, "run", REPORT, "days=4", "--parameters", f"@{file}")["parameters"]["days"]


def test_a_kind_that_joins_says_that_it_is_the_same_job(run: Run) -> None:
    first = told(run, "run", "joining")["id"]
    code, output, _ = run("run", "joining")
    assert (0, f"{first} is queued already, and is the same: ./tidings jobs show {first}\n") == (code, output)


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["run", "nothing"], 1, "No kind of jobs has this name; there are joining, sales-report."),
        (["run", "nothing", "days=7"], 1, "No kind of jobs has the name 'nothing'; there are joining, sales-report."),
        (["run", REPORT], 1, "parameters.since: This is required."),
        (["run", REPORT, "since=x"], 1, "parameters.since: This must be a time such as 2026-11-22T09:30:00Z."),
        ([*RUN, "days=0"], 1, "parameters.days: This must be at least 1."),
        ([*RUN, "dayz=1"], 1, "parameters.dayz: There is no such field; is it a typing error?"),
        ([*RUN, "days"], 2, "say it as NAME=VALUE, such as days=7"),
        ([*RUN, "--parameters", "[]"], 2, "this must be a JSON object"),
        (["show", NOBODY], 1, "No job has this id."),
        (["show", "x"], 2, "an id is a UUID"),
        (["cancel", NOBODY], 1, "No job has this id."),
        (["result", NOBODY], 1, "No job has this id."),
        (["kinds", "nothing"], 1, "No kind of jobs has the name 'nothing'; there are joining, sales-report."),
        (["list", "--state", "done"], 2, "'done' is not one of"),
    ],
)
def test_what_cannot_be_is_one_clear_line(run: Run, words: list[str], code: int, error: str) -> None:
    found, output, errors = run(*words)
    assert (code, "", 1) == (found, output, len(errors.splitlines()))
    assert error in errors


def test_each_field_that_is_wrong_has_a_line_with_its_whole_place_and_none_repeats_a_value(run: Run) -> None:
    code, output, errors = run(
        "run", REPORT, "since=secret", "code=SECRET", 'parts=[{"weight": -1234}, {"\\u001b": 1}]'
    )
    expected = [
        "tidings: parameters.since: This must be a time such as 2026-11-22T09:30:00Z.",
        "tidings: parameters.code: This must have at most 3 characters.",
        "tidings: parameters.code: This must match ^[a-z]*$",
        "tidings: parameters.parts.0.weight: This must be at least 1.",
        "tidings: parameters.parts.1.weight: This is required.",
        "tidings: parameters.parts.1.\N{REPLACEMENT CHARACTER}: There is no such field; is it a typing error?",
    ]
    assert (1, "", sorted(expected)) == (code, output, sorted(errors.splitlines()))
    assert [] == told(run, "list")["items"]


def test_a_list_has_filters_and_goes_on_where_it_ended(run: Run, database: Database) -> None:
    ids = [made(run) for _ in range(3)]
    change(database, ids[0], state="failed", error="ValueError: no")
    joined = told(run, "run", "joining")["id"]
    assert [joined, *ids[::-1]] == [each["id"] for each in told(run, "list")["items"]]
    assert [ids[0]] == [each["id"] for each in told(run, "list", "--state", "failed")["items"]]
    assert [joined] == [each["id"] for each in told(run, "list", "--kind", "joining")["items"]]
    assert [] == told(run, "list", "--requested-by", "bob")["items"]
    assert [] == told(run, "list", "--until", "1h")["items"]
    page = told(run, "list", "--limit", "2", "--kind", REPORT)
    assert ids[1] == page["next"]
    assert [ids[0]] == [each["id"] for each in told(run, "list", "--cursor", page["next"])["items"]]
    assert "ValueError: no" in run("list")[1]


def test_one_job_is_shown_with_its_files(run: Run, database: Database) -> None:
    job_id = made(run)
    give(database, job_id, "report.csv", "text/csv", b"day,count\n")
    code, output, _ = run("show", job_id)
    assert (0, True) == (code, "succeeded" in output)
    assert [["report.csv", "text/csv", "10"]] == [line.split()[:3] for line in output.splitlines()[-1:]]
    assert ["report.csv"] == [file["name"] for file in told(run, "show", job_id)["files"]]


def test_a_waiting_job_is_cancelled_at_once_and_one_that_runs_is_told_to_end(run: Run, database: Database) -> None:
    waiting, running = made(run), made(run)
    later = datetime.now(UTC) + timedelta(minutes=1)
    change(database, running, state="running", owner="here#1-aa 1 w", busy_until=later)
    assert (0, f"{waiting} is cancelled.\n", "") == run("cancel", waiting, "--why", "twice")
    code, output, _ = run("cancel", running)
    assert (0, f"{running} is to end at its next look: ./tidings jobs show {running}\n") == (code, output)
    assert (0, f"{waiting} is cancelled.\n", "") == run("cancel", waiting)
    assert "Cancelled by ada: twice." == told(run, "show", waiting)["error"]
    assert "running, to be cancelled" in run("list")[1]


def test_who_waits_for_the_end_of_what_they_cancel_is_told_when_it_is_there(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = made(run)
    later = datetime.now(UTC) + timedelta(minutes=1)
    change(database, job_id, state="running", progress=0.5, busy_until=later)
    monkeypatch.setattr(watching, "pause", lambda _: change(database, job_id, state="cancelled"))
    code, output, errors = run("cancel", job_id, "--wait", "--why", "twice")
    assert (0, "cancelled: Cancelled by ada: twice.\n") == (code, output)
    assert ["running, to be cancelled: 50%"] == errors.splitlines()


def test_what_has_succeeded_cannot_be_cancelled(run: Run, database: Database) -> None:
    job_id = made(run)
    change(database, job_id, state="succeeded")
    code, output, errors = run("cancel", job_id)
    assert (1, "", "tidings: This job has succeeded: there is nothing to cancel.\n") == (code, output, errors)


def test_the_result_is_written_as_it_is(run: Run, database: Database, tmp_path: Path) -> None:
    job_id = made(run)
    give(database, job_id, "report.csv", "text/csv", b"day,count\n")
    give(database, job_id, "chart.png", "image/png", b"\x89PNG", ordinal=1)
    assert (0, "day,count\n", "") == run("result", job_id)
    file = tmp_path / "chart.png"
    code, output, errors = run("result", job_id, "--name", "chart.png", "--output", str(file))
    assert (0, "", f"{file}: 4 bytes, image/png\n") == (code, output, errors)
    assert b"\x89PNG" == file.read_bytes()
    assert [file] == [each for each in tmp_path.iterdir() if "chart" in each.name]


def test_a_terminal_is_spared_what_is_no_text(run: Run, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = made(run)
    give(database, job_id, "chart.png", "image/png", b"\x89PNG")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, output, errors = run("result", job_id)
    assert (2, "") == (code, output)
    assert "tidings: chart.png is image/png, which is nothing for a terminal: use --output FILE.\n" == errors


def test_who_has_read_enough_of_a_result_is_told_nothing(run: Run, database: Database) -> None:
    job_id = made(run)
    give(database, job_id, "report.csv", "text/csv", b"day,count\n" * 100_000)
    words = [sys.executable, "-m", "infra.jobs", "result", job_id]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"day," == process.stdout.read(4)
        process.stdout.close()
        assert (b"", 0) == (process.stderr.read(), process.wait(30))


def test_why_there_is_no_result_is_told(run: Run, database: Database, tmp_path: Path) -> None:
    job_id = made(run)
    change(database, job_id, state="running", progress=0.4)
    assert "This job is running (40%), so there is no result yet" in run("result", job_id)[2]
    change(database, job_id, state="failed", error="ValueError: no")
    assert "This job has no result: it failed. ValueError: no" in run("result", job_id)[2]
    change(database, job_id, state="succeeded", error=None)
    assert "This job has no files" in run("result", job_id)[2]
    give(database, job_id, "report.csv", "text/csv", b"day,count\n")
    assert "This job has no file 'report.pdf', but report.csv." in run("result", job_id, "--name", "report.pdf")[2]
    nowhere = str(tmp_path / "nowhere" / "report.csv")
    assert (2, True) == (
        run("result", job_id, "-o", nowhere)[0],
        "No such file" in run("result", job_id, "-o", nowhere)[2],
    )


def test_a_file_that_has_expired_is_not_given_out_though_it_may_be_there_still(run: Run, database: Database) -> None:
    job_id, file = made(run), table(JobFile)
    give(database, job_id, "report.csv", "text/csv", b"day,count\n")
    database.run(lambda session: session.connection().execute(update(file).values(expires_at=datetime.now(UTC))))
    code, output, errors = run("result", job_id)
    assert (1, "", True) == (code, output, "report.csv expired at " in errors)


@pytest.mark.parametrize("until", [None, datetime(2999, 1, 1, tzinfo=UTC)])
def test_a_file_that_was_erased_is_not_said_to_have_expired(
    run: Run, database: Database, until: datetime | None
) -> None:
    job_id, file = made(run), table(JobFile)
    give(database, job_id, "report.csv", "text/csv", b"day,count\n")
    gone = update(file).values(key=None, expires_at=until)
    database.run(lambda session: session.connection().execute(gone))
    code, _, errors = run("result", job_id)
    assert (1, True) == (code, "of somebody who was erased" in errors)


def test_a_file_that_the_store_does_not_have_is_told(run: Run, database: Database) -> None:
    job_id = made(run)
    give(database, job_id, "report.csv", "text/csv", b"day,count\n")
    store = Folder(load().state_dir / "results")
    (key,) = store.keys(datetime.now(UTC) + timedelta(days=1))
    assert stat.S_IMODE((store.folder / key).stat().st_mode) == 0o600
    store.remove(key)
    code, output, errors = run("result", job_id)
    assert (1, "", True) == (code, output, "is TIDINGS_RESULTS_URL the same?" in errors)


def test_the_kinds_are_listed_and_each_says_what_it_takes(run: Run) -> None:
    assert ["joining", REPORT] == [each["name"] for each in told(run, "kinds")["items"]]
    page = told(run, "kinds", "--limit", "1")
    assert ("joining", [REPORT]) == (
        page["next"],
        [each["name"] for each in told(run, "kinds", "--cursor", page["next"])["items"]],
    )
    output = run("kinds", REPORT)[1]
    assert "Does sales-report." in output
    assert ["since", "date-time", "required", "-"] == next(
        line.split() for line in output.splitlines() if line.startswith("since")
    )
    assert "integer" == told(run, "kinds", REPORT)["parameters"]["properties"]["days"]["type"]


def test_waiting_shows_how_far_it_is_and_ends_with_it(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[dict[str, Any]] = [
        {"state": "running", "progress": 0.5, "progress_text": "half"},
        {"state": "retrying", "attempts": 1, "error": "OSError: away"},
        {"state": "succeeded", "error": None},
    ]

    def step(_: float) -> None:
        with database.reading() as session:
            job_id = session.connection().execute(table(Job).select()).one().id
        change(database, job_id, **states.pop(0))

    monkeypatch.setattr(watching, "_EVERY_IN_A_FILE", 0.0)
    monkeypatch.setattr(watching, "pause", step)
    code, output, errors = run(*RUN, "--wait")
    assert (0, "succeeded\n") == (code, output)
    assert ["queued: 0%", "running: 50%, half", "retrying, try 1 failed: OSError: away"] == errors.splitlines()


def test_waiting_for_one_that_fails_ends_with_code_1_and_why(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(_: float) -> None:
        statement = update(table(Job)).values(state="failed", error="ValueError: no")
        database.run(lambda session: session.connection().execute(statement))

    monkeypatch.setattr(watching, "pause", step)
    code, output, _ = run(*RUN, "--wait")
    assert (1, "failed: ValueError: no\n") == (code, output)
