"""`./tidings events`: what people and programs see, and every way to type it wrongly."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from events.envelope import Envelope, decode
from infra import commands
from infra.announcing.commands import app
from infra.database import audit, consumers, event_log, leases, outbox
from infra.database.engine import Database
from infra.database.leases import Holding
from infra.subscriptions import Subscription

ADA = {"user_id": str(uuid4()), "name": "Ada", "email": "ada@example.com"}
HELD = ["publish", "user.registered", "--data", json.dumps(ADA), "--delay", "1h"]
NOBODY = "00000000-0000-7000-8000-000000000000"
Run = Any


@pytest.fixture(autouse=True)
def machine(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings name the test's database; Ada types."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    monkeypatch.setenv("LOGNAME", "ada")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(app, "./tidings events", list(words))
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


def told(run: Run, *words: str) -> Any:
    """What a command says to programs."""
    code, output, errors = run(*words, "--json")
    assert (0, "") == (code, errors)
    return json.loads(output)


def listed(run: Run, *words: str) -> list[str]:
    return [item["id"] for item in told(run, "list", *words)["items"]]


def kept(database: Database, event_id: str) -> Envelope:
    """The event of the outbox."""
    with database.reading() as session:
        row = outbox.find(session, event_id)
    assert row is not None
    return decode(row.body.encode())


def publish_all(database: Database) -> None:
    """What the relay does."""
    lease = Holding("relay", "test", 60.0)
    with database.transaction() as session:
        leases.acquire(session, lease.name, lease.holder, lease.seconds)
        event_log.publish(session, outbox.due(session, 100), lease=lease)


def deeds(database: Database) -> list[tuple[str, str, str, str]]:
    with database.reading() as session:
        rows = audit.page(session, audit.Filter(), before=None, limit=100)
    return [(row.who, row.action, row.target, row.why) for row in rows]


def test_an_event_is_published_now_or_later_and_it_is_said_when(run: Run, database: Database, tmp_path: Path) -> None:
    file = tmp_path / "ada.json"
    file.write_text(json.dumps(ADA))
    code, output, errors = run("publish", "user.registered", "--data", f"@{file}", "--why", "a test")
    ((_, action, event, why),) = deeds(database)
    assert (0, f"{event} is published at once.\n", "") == (code, output, errors)
    assert ("event.publish", "a test", "/operators") == (action, why, kept(database, event).source)
    made = told(run, *HELD)
    assert ("waiting", made["id"]) == (made["state"], deeds(database)[0][2])
    assert "is published at 20" in run(*HELD)[1]


def test_a_moment_without_a_zone_is_one_of_this_machine(run: Run) -> None:
    local = (datetime.now() + timedelta(hours=3)).replace(microsecond=0)  # noqa: DTZ005  # what somebody types
    made = told(run, *HELD[:-2], "--at", local.isoformat())
    assert local.astimezone(UTC) == datetime.fromisoformat(made["available_at"])


def test_what_waits_is_listed_moved_and_cancelled(run: Run, database: Database) -> None:
    second, first = told(run, *HELD)["id"], told(run, *HELD[:-1], "10m")["id"]
    assert [first, second] == listed(run, "--state", "waiting")
    page = told(run, "list", "--state", "waiting", "--limit", "1")
    assert [second] == listed(run, "--state", "waiting", "--cursor", page["next"])
    head, line, *_ = run("list", "--state", "waiting", "--limit", "1")[1].splitlines()
    assert (["id", "type", "subject"], first) == (head.split()[:3], line.split()[0])

    moved = told(run, "move", first, "--delay", "2h", "--why", "too early")
    assert ([second, first], "waiting") == (listed(run, "--state", "waiting"), moved["state"])
    assert (0, f"{first} is published at once.\n", "") == run("move", first, "--delay", "0")
    assert (0, f"{second} is cancelled: it will not be published.\n", "") == run("cancel", second)
    assert [] == listed(run, "--state", "waiting")
    assert [("event.cancel", ""), ("event.move", ""), ("event.move", "too early")] == [
        (action, why) for _, action, _, why in deeds(database)[:3]
    ]
    for words in (["show", second], ["cancel", second], ["move", second, "--delay", "1h"]):
        code, _, errors = run(*words)
        assert 1 == code
        assert errors.startswith("tidings: This event was cancelled at ")
        assert errors.endswith(" by ada.\n")


def test_what_is_published_is_listed_and_shown_with_its_deliveries(run: Run, database: Database) -> None:
    with database.transaction() as session:
        consumers.declare(session, [Subscription("sms", ("user.registered",), lambda *_: None)])
    events = [told(run, *HELD[:-2])["id"] for _ in range(3)]
    publish_all(database)
    assert events[::-1] == listed(run)
    assert [events[0]] == listed(run, "--cursor", told(run, "list", "--limit", "2")["next"])
    assert ([], events[::-1]) == (
        listed(run, "--until", "1h"),
        listed(run, "--since", "1h", "--type", "user.registered"),
    )
    assert [] == listed(run, "--subject", "nobody")
    story = told(run, "show", events[0])
    assert ("published", 1, ["sms"]) == (
        story["state"], story["position"], [each["consumer"] for each in story["deliveries"]]
    )  # fmt: skip
    lines = run("show", events[0])[1].splitlines()
    assert ["consumer", "state", "tries"] == lines[-2].split()[:3]
    assert ["sms", "pending", "0"] == lines[-1].split()[:3]
    code, _, errors = run("cancel", events[0])
    assert (1, True) == (code, errors.startswith("tidings: This event was published at "))


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (["show", NOBODY], 1, "No event has this id."),
        (["cancel", NOBODY], 1, "No event has this id."),
        (["move", NOBODY, "--delay", "1h"], 1, "No event has this id."),
        (["move", NOBODY], 2, "say when: --at or --delay."),
        (["move", NOBODY, "--delay", "soon"], 2, "Seconds from 0 up, or a text such as 30s, 10m, 2h or 7d."),
        (["move", NOBODY, "--delay", "99w"], 2, "At most a year ahead: 366 days."),
        (["move", NOBODY, "--at", "2999-01-01"], 2, "At most a year ahead: 366 days."),
        (["move", NOBODY, "--at", "tomorrow"], 2, "use a time such as 2026-11-22T09:30:00Z."),
        (["move", NOBODY, "--at", "2026-11-22", "--delay", "1h"], 2, "give --at or --delay, not both."),
        (["cancel", "1"], 2, "an id is a UUID, as lists show it."),
        (["publish", "no.such", "--data", "{}"], 1, "type: unknown type."),
        (["publish", "user.registered", "--data", "{}"], 1, "data.user_id: missing (and 2 more)."),
        ([*HELD, "--subject", "x"], 1, "subject: not its own."),
        (["list", "--state", "lost"], 2, "is not one of"),
        (["list", "--cursor", "x"], 2, "use what the list before said."),
        (["list", "--state", "waiting", "--cursor", "7"], 2, "use what the list before said."),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(run: Run, words: list[str], exit_code: int, said: str) -> None:
    code, output, errors = run(*words)
    assert (exit_code, "", 1) == (code, output, errors.count("\n"))
    assert said in errors
