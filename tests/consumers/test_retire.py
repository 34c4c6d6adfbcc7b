"""`./tidings consumers retire`: when it refuses, and what it says."""

import json
from typing import Any

import pytest

from consumers import __main__ as program
from infra import commands, subscriptions
from infra.database import consumers
from infra.database.engine import Database
from infra.subscriptions import Subscription

Run = Any


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(program.app, "./tidings consumers", ["retire", *words, "--why", "nobody reads them"])
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


@pytest.fixture(autouse=True)
def machine(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings name a database in which a consumer is recorded that no module subscribes; Ada types."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    monkeypatch.setenv("LOGNAME", "ada")
    with database.transaction() as session:
        consumers.declare(session, [Subscription("sms", ("user.registered",), _unused)])


def test_it_begins_an_operation(run: Run) -> None:
    code, output, _ = run("sms", "--to-dead-letters", "--yes", "--no-wait", "--json")
    assert (0, "consumer.retire", "running") == (code, json.loads(output)["kind"], json.loads(output)["state"])
    code, _, errors = run("sms", "--drain", "--yes", "--no-wait")
    assert (1, True, 1) == (code, "being retired already" in errors, len(errors.splitlines()))


@pytest.mark.parametrize(
    "words", [["sms", "--yes"], ["sms", "--drain", "--to-dead-letters", "--yes"], ["sms", "--drain"]]
)
def test_it_wants_to_know_what_becomes_of_what_is_left_and_a_yes(run: Run, words: list[str]) -> None:
    code, output, errors = run(*words)
    assert (2, "", 1) == (code, output, len(errors.splitlines()))


def test_it_refuses_as_long_as_a_module_here_subscribes_the_name(run: Run, database: Database) -> None:
    subscriptions._recorded["sms"] = Subscription("sms", ("user.registered",), _unused)
    try:
        code, _, errors = run("sms", "--drain", "--yes")
    finally:
        subscriptions.forget("sms")
    assert (1, "tidings: A module here still subscribes sms: remove it first, and restart the consumers.\n") == (
        code,
        errors,
    )


def test_one_that_is_none_is_told(run: Run) -> None:
    code, _, errors = run("nobody", "--drain", "--yes")
    assert (1, "tidings: No consumer has this name.\n") == (code, errors)


def _unused(*_: Any) -> None:
    raise AssertionError("no worker runs in these tests")
