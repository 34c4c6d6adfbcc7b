"""`./tidings consumers shadow` and `backfill --shadow`: what people and programs see."""

import json
from typing import Any
from uuid import uuid4

import pytest

import consumers
from consumers import __main__ as program
from events.envelope import Envelope, announce, encode
from events.users import UserRegistered
from infra import commands
from infra.database import event_log, leases, operations, outbox
from infra.database.engine import Database
from infra.database.leases import Holding
from infra.delivery import Deliveries
from infra.outcomes import Incoming
from infra.shadowing import commands as shadowing
from infra.shadowing import past
from infra.subscriptions import Context, Subscription, forget, subscribe

Run = Any
LEASE = Holding("relay", "me", 60.0)
FAST = ("--rate", "100000")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], restored_logs: None) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(program.app, "./tidings consumers", list(words))
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


@pytest.fixture
def kept(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The settings name this database."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    return database


def logged(database: Database, count: int) -> list[Envelope]:
    events = [UserRegistered(user_id=uuid4(), name=f"Ada {number}", email="ada@example.com") for number in range(count)]
    envelopes = [announce(event, source="/test") for event in events]
    with database.transaction() as session:
        outbox.add_all(session, [(envelope, None) for envelope in envelopes])
        leases.acquire(session, LEASE.name, LEASE.holder, LEASE.seconds)
        event_log.publish(session, outbox.due(session, 1_000), lease=LEASE)
    return envelopes


def live(database: Database, envelope: Envelope) -> None:
    """Have the event welcomed as it was once: with another template."""

    def welcomed(event: UserRegistered, context: Context) -> None:
        context.mail.send("hello", to=event.email, name=event.name)

    subscription = Subscription("welcome-email", ("user.registered",), welcomed)
    Deliveries(database, {"mail": lambda _: None}).handler(subscription)([Incoming(encode(envelope))])


def test_what_is_new_is_shown_event_by_event_and_summed_up(run: Run, kept: Database) -> None:
    first, second = logged(kept, 2)
    code, output, _ = run("shadow", "welcome-email", *FAST)
    lines = output.splitlines()
    assert (0, 5) == (code, len(lines))
    assert [f"{each.id}  user.registered  handled; mail (template, to, values)" for each in (first, second)] == lines[
        :2
    ]
    assert ["2 events: 2 without a record.", "Would be: handled (2)."] == lines[2:4]
    assert lines[4].startswith("Nothing of it happened; the database was held for ")


def test_against_a_record_only_what_differs_is_shown_and_values_on_demand(run: Run, kept: Database) -> None:
    (envelope,) = logged(kept, 1)
    live(kept, envelope)
    assert (
        f"{envelope.id}  user.registered  changed mail (template)"
        == (run("shadow", "welcome-email", *FAST)[1].splitlines()[0])
    )
    _, output, _ = run("shadow", "welcome-email", "--values", *FAST)
    assert "changed mail (template: hello → welcome)" in output
    assert "Differs: changed mail: template (1)." in output


def test_for_programs_it_is_one_document(run: Run, kept: Database) -> None:
    logged(kept, 3)
    code, output, _ = run("shadow", "welcome-email", "--limit", "2", "--json", *FAST)
    found = json.loads(output)
    assert (0, 2, 2) == (code, len(found["items"]), found["summary"]["events"])
    assert {"handled": 2} == found["summary"]["states"]
    assert "Ada" not in output


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["shadow", "nobody"], 1, "No consumer of this name is in this tree."),
        (["shadow", "activity-report"], 1, "activity-report is a kind of jobs"),
        (["shadow", "welcome-email", "--type", "day.ended"], 2, "welcome-email takes user.registered."),
        (["shadow", "welcome-email", "--since", "yesterday"], 2, "30m, 2h or 7d"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, kept: Database, words: list[str], code: int, said: str) -> None:
    found, output, errors = run(*words)
    assert (code, "", 1) == (found, output, len(errors.splitlines()))
    assert said in errors


def test_without_events_that_is_said(run: Run, kept: Database) -> None:
    assert (0, "There is no such event in the log.\n") == run("shadow", "welcome-email")[:2]


def test_ctrl_c_ends_it_with_what_was_seen_by_then(run: Run, kept: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    logged(kept, 3)
    monkeypatch.setattr(shadowing, "pause", interrupted)
    code, output, _ = run("shadow", "welcome-email")
    assert 130 == code
    assert "1 event until it was stopped: 1 without a record." in output


def test_it_rests_longer_than_it_works(run: Run, kept: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(shadowing, "pause", rests.append)
    logged(kept, 3)
    run("shadow", "welcome-email")
    assert 3 == len(rests)
    assert all(rest > 1 / shadowing.RATE / 2 for rest in rests)


def test_the_option_of_another_command_does_the_same(
    kept: Database, restored_logs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`backfill --shadow` takes the options that both have, and those that a shadow run needs."""
    did: list[tuple[str, object]] = []

    @subscribe("tested", to=UserRegistered)
    def handler(event: UserRegistered, context: Context) -> None:
        raise AssertionError("never called")

    def backfill(name: shadowing.Name, since: shadowing.Since, rate: float | None = None, why: str = "") -> int:
        did.append((name, why))
        return 0

    def run(shadow: object, events: object, name: str, rate: float, *, as_json: bool) -> int:
        did.append((name, rate))
        return 0

    monkeypatch.setattr(shadowing, "_run", run)
    monkeypatch.setattr(past, "events", lambda *_, since, until, most: did.append((most, until)))
    app = commands.make("")
    app.command()(shadowing.beside(backfill, consumers.discover))
    app.command(name="other")(lambda: None)
    for words in (["--why", "x"], ["--shadow", "--limit", "7"]):
        assert 0 == commands.code(app, "tidings", ["backfill", "tested", "--since", "7d", *words])
    forget("tested")
    assert [("tested", "x"), (7, None), ("tested", shadowing.RATE)] == did


def test_a_backfill_that_is_only_looked_at_sends_nothing(run: Run, kept: Database) -> None:
    logged(kept, 2)
    code, output, _ = run("backfill", "welcome-email", "--since", "7d", "--shadow", *FAST)
    assert (0, "2 events: 2 without a record.") == (code, output.splitlines()[2])
    with kept.reading() as session:
        assert [] == operations.page(session, operations.Filter())
