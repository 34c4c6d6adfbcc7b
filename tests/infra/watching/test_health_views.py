"""`./tidings health` and `GET /health`: what is known, and that nothing is known when nobody has looked."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from gateway.app import create_app
from infra import commands
from infra.database import health
from infra.database.engine import Database
from infra.settings import Settings
from infra.watching import __main__ as program

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command line on the database; gives its exit code, its output, and its errors."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)

    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(program.app, "./tidings health", list(words))
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


def ago(minutes: float) -> datetime:
    """A moment before the present one: not before the tests were collected, which may be long ago."""
    return datetime.now(UTC) - timedelta(minutes=minutes)


def put(database: Database, component: str, state: str, checked_at: datetime | None = None) -> None:
    checked_at = checked_at or ago(0)
    with database.transaction() as session:
        row = health.take(session, component, checked_at)
        row.state, row.detail, row.since = state, "as it was found", checked_at - timedelta(hours=1)
        health.write(session, row)


def test_all_is_well_is_exit_code_0(run: Run, database: Database) -> None:
    put(database, "smtp", "ok")
    code, output, errors = run()
    head, line = output.splitlines()
    assert (0, "", "component", ["smtp", "ok"]) == (code, errors, head.split()[0], line.split()[:2])


@pytest.mark.parametrize(("state", "age"), [("failing", 0), ("ok", 10)])
def test_what_fails_or_is_not_known_is_exit_code_1(run: Run, database: Database, state: str, age: int) -> None:
    put(database, "broker", "ok")
    put(database, "smtp", state, ago(age))
    assert 1 == run()[0]


def test_what_nobody_ever_looked_at_is_exit_code_1(run: Run) -> None:
    assert (1, "There is nothing.\n", "") == run()


def test_what_was_not_looked_at_for_minutes_is_not_known(run: Run, database: Database) -> None:
    """While the broker is away nobody looks, and what was found before says nothing."""
    checked_at = ago(10)
    put(database, "broker", "ok", checked_at)
    (item,) = json.loads(run("--json")[1])["items"]
    assert ("unknown", "not looked at since; then: as it was found") == (item["state"], item["detail"])
    assert item["since"] == item["checked_at"]


def test_what_failed_when_it_was_looked_at_last_is_failing_still(run: Run, database: Database) -> None:
    put(database, "heartbeat", "failing", ago(10))
    (item,) = json.loads(run("--json")[1])["items"]
    assert ("failing", "as it was found") == (item["state"], item["detail"])


def test_programs_and_clients_are_told_the_same(run: Run, database: Database, tmp_path: Path) -> None:
    put(database, "broker", "ok")
    put(database, "smtp", "failing")
    settings = Settings(operator_token="token", state_dir=tmp_path)
    with TestClient(create_app(settings, database, None), headers={"Authorization": "Bearer token"}) as client:
        answer = client.get("/health").json()
        assert json.loads(run("--json")[1]) == answer
        assert {"component", "state", "since", "checked_at", "detail", "doubted_since"} == set(answer["items"][0])
        failing = client.get("/health", params={"state": "failing"}).json()
        assert ["smtp"] == [item["component"] for item in failing["items"]]
        assert (422, 422) == tuple(
            client.get("/health", params=each).status_code for each in ({"state": "x"}, {"y": 1})
        )
    assert failing == json.loads(run("--json", "--state", "failing")[1])


def test_prometheus_is_told_of_it_and_of_its_age(database: Database, tmp_path: Path) -> None:
    put(database, "broker", "ok", ago(10))
    put(database, "smtp", "failing")
    settings = Settings(operator_token="token", state_dir=tmp_path)
    with TestClient(create_app(settings, database, None), headers={"Authorization": "Bearer token"}) as client:
        lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    assert ["1.0", "0.0"] == [lines[f'tidings_healthy{{component="{each}"}}'] for each in ("broker", "smtp")]
    assert 600 <= float(lines['tidings_health_age_seconds{component="broker"}']) < 660


def test_a_filter_changes_what_is_shown_and_not_the_exit_code(run: Run, database: Database) -> None:
    put(database, "broker", "ok")
    put(database, "smtp", "failing")
    assert 1 == run("--state", "ok")[0]
    assert 2 == run("--state", "well")[0]
