"""`./tidings events freeze` and `check`: what people and programs see, and the exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from events.envelope import Event
from infra import commands
from infra.announcing.commands import app
from infra.database import consumers
from infra.database.engine import Database, connect
from infra.schemas import freezing, frozen
from infra.schemas.frozen import FOLDER
from infra.subscriptions import Subscription
from tests.infra.schemas.test_live import bad, good, log

Run = Any


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(app, "./tidings events", list(words))
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


@pytest.fixture
def paid(throwaway: None, monkeypatch: pytest.MonkeyPatch) -> type[Event]:
    """A class that nobody has frozen, among the project's own."""

    class OrderPaid(Event, type="order.paid", version=1):
        number: int

    monkeypatch.setattr(freezing, "owned", lambda: [OrderPaid])
    return OrderPaid


@pytest.fixture
def machine(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The settings name the test's database."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    return database


def test_what_is_frozen_as_it_is_needs_nothing(run: Run) -> None:
    assert (0, "Every event type is frozen as it is.\n", "") == run("freeze", "--check")
    assert (0, "Every event version that is frozen can be read.\n", "") == run("check")
    assert {"items": []} == json.loads(run("check", "--json")[1])


def test_a_check_writes_nothing_and_ends_with_2_where_something_would_change(run: Run, paid: type[Event]) -> None:
    before = sorted(FOLDER.rglob("*"))
    assert (2, "would be frozen: order.paid/1 (new)\n", "") == run("freeze", "--check")
    code, output, _ = run("freeze", "--check", "--json")
    assert (2, [{"type": "order.paid", "version": 1, "verdict": "new", "changes": []}]) == (
        code, json.loads(output)["items"]
    )  # fmt: skip
    assert before == sorted(FOLDER.rglob("*"))


def test_freezing_says_what_it_did_and_refuses_what_is_broken(
    run: Run, paid: type[Event], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for function in (freezing.judge, freezing.freeze):
        monkeypatch.setattr(function, "__defaults__", (tmp_path,))
    assert (0, "frozen: order.paid/1 (new)\n", "") == run("freeze")
    broken = frozen.find("order.paid", 1, tmp_path)
    assert broken is not None
    frozen.keep_schema("order.paid", 1, {**broken.schema, "required": []}, tmp_path)
    way_out = (
        "tidings: order.paid/1 is frozen, and its class has changed: data.number is required now. "
        "Take that back, or make version 2 and an upcaster from version 1.\n"
    )
    assert (1, "", way_out) == run("freeze")
    assert (1, "", way_out) == run("freeze", "--check")


def test_a_check_names_each_problem_in_one_line(run: Run, paid: type[Event]) -> None:
    code, output, errors = run("check")
    assert (1, "") == (code, output)
    assert "tidings: order.paid/1 is not frozen: run ./tidings events freeze." == errors.splitlines()[0]
    found = json.loads(run("check", "--json")[1])["items"]
    assert {"type": "order.paid", "version": 1, "problem": "is not frozen: run ./tidings events freeze."} == found[0]


def test_a_live_check_ends_with_1_if_an_event_cannot_be_read(run: Run, machine: Database) -> None:
    log(machine, good())
    code, output, errors = run("check", "--live")
    assert (0, "1 events can be read, 0 cannot.") == (code, output.splitlines()[-1])
    assert "log: 1 read" in errors, "it shows how far it is"
    log(machine, unread := bad(data={}), first=2)
    code, output, errors = run("check", "--live")
    assert (1, "1 events can be read, 1 cannot.") == (code, output.splitlines()[-1])
    assert f"tidings: log {unread[0].id}: data.user_id: missing (and 2 more)" in errors.splitlines()
    code, output, _ = run("check", "--live", "--json", "--type", "day.ended", "--since", "7d")
    assert (0, 0) == (code, json.loads(output)["live"]["read"])


def test_a_live_check_reads_a_database_that_is_not_migrated_yet(run: Run, machine: Database) -> None:
    """That is when it is of use: the new program asks before anything is changed."""
    log(machine, good())
    with machine.transaction() as session:
        session.connection().execute(text("UPDATE alembic_version SET version_num = '0003'"))
    assert 0 == run("check", "--live")[0]


def test_a_database_without_tables_is_one_clear_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_DATABASE_URL", url := f"sqlite:///{tmp_path / 'empty.db'}")
    connect(url).close()
    line = "tidings: The database has no tables yet: run ./tidings migrate first.\n"
    assert (1, "", line) == run("check", "--live")


@pytest.mark.parametrize("words", [("--type", "day.ended"), ("--since", "7d")])
def test_what_chooses_among_events_needs_the_database(run: Run, words: tuple[str, str]) -> None:
    code, _, errors = run("check", *words)
    assert (2, True) == (code, "add --live" in errors)


def test_types_are_listed_with_who_takes_them(run: Run, machine: Database) -> None:
    with machine.transaction() as session:
        consumers.declare(session, [Subscription("sms", ("user.registered",), print)])
    code, output, _ = run("types", "--text", "registered", "--json")
    assert (0, [("user.registered", [1], ["sms"])]) == (
        code, [(each["type"], each["versions"], each["consumers"]) for each in json.loads(output)["items"]]
    )  # fmt: skip
    _, output, _ = run("types", "--limit", "1")
    assert ("cleaning.ended", "There are more: --cursor cleaning.ended") == (
        output.split()[5], output.splitlines()[-1]
    )  # fmt: skip
    assert ["cleaning.requested"] == [
        each["type"]
        for each in json.loads(run("types", "--limit", "1", "--cursor", "cleaning.ended", "--json")[1])["items"]
    ]


def test_without_a_database_types_are_listed_all_the_same_and_none_is_made(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIDINGS_DATABASE_URL", raising=False)
    monkeypatch.setenv("TIDINGS_STATE_DIR", str(tmp_path))
    code, output, errors = run("types")
    assert (0, "", True) == (code, errors, "not known" in output)
    assert [] == list(tmp_path.iterdir())


def test_what_depends_on_a_type_is_shown(run: Run, machine: Database) -> None:
    log(machine, good())
    with machine.transaction() as session:
        consumers.declare(session, [Subscription("sms", ("user.registered",), print, ordered=True)])
    code, output, errors = run("impact", "user.registered")
    assert (0, "") == (code, errors)
    assert "1 in the last hour, 1 in the last day" in output
    assert ["sms", "0", "0", "0", "0", "ordered"] == output.splitlines()[-1].split()
    assert "user.registered" == json.loads(run("impact", "user.registered", "--json")[1])["type"]
    line = "tidings: Nobody knows this event type: ./tidings events types lists all.\n"
    assert (1, "", line) == run("impact", "nobody.knows")
