"""`./tidings consumers list`, `pause` and `resume`: what people and programs see, and every way to type it wrongly."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from consumers import __main__ as program
from infra import commands
from infra.database import consumers, pauses
from infra.database.engine import Database
from infra.database.recovery_tables import Audit
from infra.subscriptions import Subscription

Run = Any
NO_BROKER = (
    "Not shown: what waits in the queues. No RabbitMQ is known: set TIDINGS_RABBITMQ_URL, or run ./tidings up first."
)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(program.app, "./tidings consumers", list(words))
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


@pytest.fixture
def kept(database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The settings name a database in which two consumers are recorded; Ada types."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    monkeypatch.setenv("TIDINGS_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "ada")
    with database.transaction() as session:
        names = ("activity-log", "sms")
        consumers.declare(session, [Subscription(name, ("user.registered",), _unused) for name in names])
    return database


def paused(database: Database) -> dict[str, str]:
    with database.reading() as session:
        return {name: row.reason for name, row in pauses.paused(session).items()}


def test_without_a_database_the_list_is_what_the_code_says_and_makes_no_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_STATE_DIR", str(tmp_path))
    code, output, errors = run("list")
    assert (0, ["name", "state", "takes", "lane", "tries"]) == (code, output.splitlines()[0].split()[:5])
    assert ["welcome-email", "unknown", "user.registered", "8"] == output.splitlines()[-1].split()[:4]
    assert [
        "Not shown: how far each has come. There is no database yet: ./tidings up or ./tidings migrate makes it.",
        NO_BROKER,
    ] == errors.splitlines()
    code, output, _ = run("list", "--json")
    (item,) = [each for each in json.loads(output)["items"] if each["name"] == "welcome-email"]
    assert ("consumers.welcome_email", 8, None, None) == (
        item["module"], item["options"]["concurrency"], item["settled"], item["queued"],
    )  # fmt: skip
    assert [] == list(tmp_path.iterdir())


def test_the_list_shows_what_is_recorded_and_whether_it_runs(run: Run, kept: Database) -> None:
    run("pause", "sms", "--why", "no credit")
    code, output, errors = run("list")
    lines = {line.split()[0]: line for line in output.splitlines()}
    assert (0, NO_BROKER) == (code, errors.strip())
    assert ["activity-log", "running", "every", "event"] == lines["activity-log"].split()[:4]
    assert "0 of 0" in lines["activity-log"]
    assert ["sms", "paused"] == lines["sms"].split()[:2]
    assert "no credit" in lines["sms"]
    assert ["welcome-email", "undeclared"] == lines["welcome-email"].split()[:2]
    run("pause", "activity-log", "--why", "full disk")
    assert "full disk" in run("list")[1]
    run("resume", "sms", "--why", "paid")
    assert "none subscribes it: ./tidings consumers retire" in run("list", "--state", "running")[1]


def test_for_programs_it_is_what_the_endpoint_shows_in_pages(run: Run, kept: Database) -> None:
    running = ("list", "--json", "--state", "running")
    first = json.loads(run(*running, "--limit", "1")[1])
    assert ["activity-log"] == [item["name"] for item in first["items"]]
    second = json.loads(run(*running, "--cursor", first["next"])[1])
    assert (["sms"], None) == ([item["name"] for item in second["items"]], second["next"])
    assert {"state", "settled", "lag_events", "lag_seconds", "resent", "pause"} <= set(second["items"][0])


def test_the_list_is_filtered_by_state_and_type(run: Run, kept: Database) -> None:
    run("pause", "sms", "--why", "no credit")
    assert ["sms"] == [item["name"] for item in json.loads(run("list", "--json", "--state", "paused")[1])["items"]]
    code, output, _ = run("list", "--type", "user.removed")
    assert (0, ["name", "activity-log"]) == (code, [line.split()[0] for line in output.splitlines()])
    assert "There is nothing.\n" == run("list", "--type", "user.removed", "--state", "paused")[1]


def test_one_consumer_is_shown_with_all_that_becomes_of_an_event_there(run: Run, kept: Database) -> None:
    code, output, _ = run("show", "welcome-email")
    assert 0 == code
    for line in ("name         welcome-email", "lane         8 at once, 60 s", "takes        user.registered"):
        assert line in output
    assert "  1. It is handled: up to 8 at once in each worker process" in output
    assert "Any other failure: again after 5 s, 30 s, 2 min, 10 min, 1 h." in output
    run("pause", "sms", "--why", "no credit")
    code, output, _ = run("show", "sms")
    assert 0 == code
    assert "by operator: no credit" in output
    assert ["sms", 0] == [json.loads(run("show", "sms", "--json")[1])[name] for name in ("name", "settled")]


def test_a_kind_of_jobs_is_shown_as_one(run: Run, kept: Database) -> None:
    assert "lane         jobs, " in run("show", "activity-report")[1]
    assert json.loads(run("show", "activity-report", "--json")[1])["options"]["job"] is True
    assert json.loads(run("show", "sms", "--json")[1])["options"]["job"] is False


def test_a_pause_and_its_end_are_done_and_written_down(run: Run, kept: Database) -> None:
    assert (0, "sms is paused: every process of it follows within two seconds.\n", "") == run(
        "pause", "sms", "--why", "no credit"
    )
    assert {"sms": "no credit"} == paused(kept)
    assert (0, "sms goes on within two seconds.\n", "") == run("resume", "sms", "--why", "paid")
    assert {} == paused(kept)
    with kept.reading() as session:
        deeds = [(each.who, each.action, each.target, each.why) for each in session.exec(select(Audit).order_by("id"))]
    assert [("ada", "consumer.pause", "sms", "no credit"), ("ada", "consumer.resume", "sms", "paid")] == deeds


def test_for_programs_a_verb_gives_the_consumer_as_it_is_then(run: Run, kept: Database) -> None:
    code, output, _ = run("pause", "sms", "--why", "no credit", "--json")
    assert (0, "paused", "operator") == (code, json.loads(output)["state"], json.loads(output)["pause"]["by"])


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["pause", "unknown", "--why", "x"], 1, "No consumer has this name."),
        (["resume", "sms", "--why", "x"], 1, "This consumer is not paused."),
        (["pause", "sms"], 2, "Missing option '--why'"),
        (["pause", "sms", "--why", ""], 2, "1 to 500 characters"),
        (["list", "--state", "asleep"], 2, "Invalid value"),
        (["explain", "user.regstered"], 2, "did you mean user.registered"),
        (["list", "--limit", "0"], 2, "Invalid value"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, kept: Database, words: list[str], code: int, error: str) -> None:
    found, output, errors = run(*words)
    assert (code, "", 1) == (found, output, len(errors.splitlines()))
    assert error in errors


def _unused(*_: object) -> None:
    raise AssertionError("no handler is called here")
