"""`./tidings clean`: a cleaning by hand, for people and for programs."""

import json
from typing import Any

import pytest

from infra import commands
from infra.cleaning import __main__ as program
from infra.cleaning.cleaning import TABLES, Cleaning
from infra.database import audit
from infra.database.recovery_tables import Audit
from infra.database.tables import Activity, EventLog
from tests.oldrows import DAY, Rows

pytestmark = pytest.mark.usefixtures("restored_logs")


@pytest.fixture(autouse=True)
def machine(rows: Rows, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two old events, of which one consumer has settled the first, and an old line of the activity log."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    monkeypatch.setenv("TIDINGS_KEEP_ACTIVITY", "36h")
    rows.log((1, 200 * DAY), (2, 200 * DAY), (3, DAY))
    rows.consumer("slow", scanned=1)
    rows.activity(2 * DAY, DAY)


def run(*words: str) -> int:
    return commands.code(program.app, "./tidings clean", list(words))


def cleaned(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert 0 == run("--json", *words)
    return dict(json.loads(capsys.readouterr().out))


def test_old_rows_go_and_the_audit_says_who_did_it_and_why(rows: Rows, capsys: pytest.CaptureFixture[str]) -> None:
    seen = cleaned(capsys, "--why", "disk is full")
    assert {"event_log": 1, "activity": 1} == {each["table"]: each["rows"] for each in seen["items"] if each["rows"]}
    assert [*TABLES] == [each["table"] for each in seen["items"]]
    assert {"table": "activity", "kept": "36h", "rows": 1} in seen["items"]
    assert (["slow"], [2, 1]) == (seen["waits_for"], rows.count(EventLog, Activity))
    with rows.database.reading() as session:
        (deed,) = audit.page(session, audit.Filter(), before=None, limit=10)
    assert ("rows.clean", "disk is full", {"event_log": 1, "activity": 1}) == (deed.action, deed.why, deed.details)


def test_a_dry_run_counts_and_changes_nothing(rows: Rows, capsys: pytest.CaptureFixture[str]) -> None:
    seen = cleaned(capsys, "--dry-run", "--table", "activity", "--table", "audit")
    assert [("activity", 1), ("audit", 0)] == [(each["table"], each["rows"]) for each in seen["items"]]
    assert [3, 2, 0] == rows.count(EventLog, Activity, Audit)


def test_people_see_a_table_and_whom_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run("--dry-run")
    shown = capsys.readouterr()
    assert ["table", "kept", "would", "go"] == shown.out.splitlines()[0].split()
    assert ["event_log", "90d", "1"] == shown.out.splitlines()[1].split()
    assert shown.out.endswith("settled them: slow. See ./tidings consumers list.\n")
    assert "activity: 1 rows" in shown.err or "event_log: 1 rows" in shown.err


def test_one_table_alone_is_cleaned(rows: Rows) -> None:
    assert 0 == run("--table", "activity")
    assert [3, 1] == rows.count(EventLog, Activity)


def test_the_effects_are_shown_with_the_inbox_that_they_go_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert ["inbox", "effect"] == [each["table"] for each in cleaned(capsys, "--table", "inbox")["items"]]


@pytest.mark.parametrize("name", ["users", "outbox", "effect", "event-log", "'; DROP TABLE users"])
def test_a_table_that_is_not_cleaned_is_refused_with_those_that_are(
    rows: Rows, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert commands.MISUSED == run("--table", name)
    assert "is none of event_log, inbox," in capsys.readouterr().err
    assert [3, 2] == rows.count(EventLog, Activity)


def test_a_setting_that_cannot_be_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_KEEP_INBOX", "3d")
    assert commands.FAILED == run()
    assert 1 == len(capsys.readouterr().err.splitlines())


def test_what_ctrl_c_interrupts_has_done_what_it_did(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: Cleaning, **options: Any) -> None:
        options["tell"]("event_log", 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(Cleaning, "run", interrupted)
    assert commands.INTERRUPTED == run()
    assert "Traceback" not in capsys.readouterr().err
    assert [0] == rows.count(Audit)
