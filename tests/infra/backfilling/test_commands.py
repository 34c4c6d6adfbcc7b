"""`./tidings consumers backfill` and `operations resume`: what people and programs see, and every way to mistype it."""

import json
from typing import Any

import pytest
from sqlmodel import Session

from consumers import __main__ as program
from infra import commands
from infra.backfilling.working import Backfilling
from infra.commands import INTERRUPTED, watching
from infra.database import backfills
from infra.database.engine import Database
from infra.recovery import __main__ as recovery
from tests.eventlogs import DAY, USER, fill, handle
from tests.pasts import ago, begin, look
from tests.relays import record

SMS = "sms"
Run = Any


@pytest.fixture(autouse=True)
def machine(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings name the test's database, with a log and a consumer; Ada types."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    monkeypatch.setenv("LOGNAME", "ada")
    fill(database, 40, at=ago(3_600))
    record(database, DAY, USER, name=SMS)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str, app: Any = program.app) -> tuple[int, str, str]:
        code = commands.code(app, "./tidings", list(words))
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


@pytest.fixture
def working(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a command waits, the programs work: the relay sends, the consumer handles."""
    duty = Backfilling(database, grace=60)

    def work(_: float) -> None:
        with database.transaction() as session:
            for one in backfills.to_send(session):
                _relay(session, one)
        handle(database, SMS, 40)
        duty.step()

    monkeypatch.setattr(watching, "pause", work)


def _relay(session: Session, one: backfills.Sending) -> None:
    part = backfills.next_slice(session, one, 100)
    backfills.move(session, one, part.end, part.events, ago(0))
    backfills.join(session, one)


def test_a_dry_run_says_what_there_is_and_how_long_it_takes(run: Run, database: Database) -> None:
    handle(database, SMS, 4)
    code, output, errors = run("backfill", SMS, "--since", "2h", "--rate", "6", "--dry-run")
    assert (0, "") == (code, errors)
    assert output.startswith("Would send: 36; settled already: 4. Found: 4 day.ended, 36 user.registered, from 20")
    assert output.endswith("It takes about 6 s at this rate.\n")
    code, output, _ = run("backfill", SMS, "--since", "2h", "--type", DAY, "--dry-run", "--json")
    assert (0, 4, {DAY: 4}) == (code, json.loads(output)["would_send"], json.loads(output)["by_type"])


def test_it_shows_how_far_it_is_until_its_end(run: Run, working: None) -> None:
    code, output, errors = run("backfill", SMS, "--since", "2h", "--why", "new")
    assert (0, "done: 40 of 40 ended, 0 failed; 40 handled\n") == (code, output)
    assert errors.startswith("running: 0 of 40 ended")


def test_one_that_is_not_waited_for_says_where_to_look(run: Run, database: Database) -> None:
    code, output, _ = run("backfill", SMS, "--since", "2h", "--no-wait")
    operation = output.split()[1]
    assert (0, f"Operation {operation} sends 40 events: ./tidings operations show {operation}\n") == (code, output)
    assert "running" == look(database, operation).state


def test_an_interruption_leaves_it_running_and_says_how_to_stop_it(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watching, "pause", interrupt)
    code, output, errors = run("backfill", SMS, "--since", "2h")
    assert (INTERRUPTED, "", True) == (code, output, "It goes on behind: ./tidings operations stop 0" in errors)


def test_a_stopped_one_is_resumed_by_its_id(run: Run, database: Database) -> None:
    operation = begin(database, SMS)
    assert 0 == run("operations", "stop", operation, app=recovery.app)[0]
    Backfilling(database, grace=60).step()
    code, output, _ = run("operations", "resume", operation, "--why", "go on", app=recovery.app)
    assert (0, f"It goes on: ./tidings operations show --wait {operation}\n") == (code, output)
    assert "running" == look(database, operation).state
    code, _, errors = run("operations", "resume", operation, app=recovery.app)
    assert (1, "tidings: Only an operation that is stopped can go on: this one is running.\n") == (code, errors)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("nobody", "--since", "7d"), "No consumer has this name."),
        ((SMS,), "Missing option '--since'"),
        ((SMS, "--since", "soon"), "use 30m, 2h or 7d for so long ago"),
        ((SMS, "--since", "2999-01-01"), "since: in the future."),
        ((SMS, "--since", "2h", "--until", "3h"), "until: not later than since."),
        ((SMS, "--since", "2h", "--type", "hour.passed"), "types: sms takes no hour.passed."),
        ((SMS, "--since", "2h", "--rate", "0"), "--rate"),
    ],
)
def test_what_is_mistyped_is_told_in_one_line(run: Run, words: tuple[str, ...], complaint: str) -> None:
    code, output, errors = run("backfill", *words)
    assert (True, "", 1, True) == (code in {1, 2}, output, errors.count("\n"), complaint in errors)
