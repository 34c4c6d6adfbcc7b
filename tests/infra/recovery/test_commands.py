"""`./tidings dead` and `./tidings operations`: what people and programs see, and every way to type it wrongly."""

import getpass
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from events.envelope import decode
from infra import commands
from infra.commands import opened, watching
from infra.database import audit, outbox
from infra.database.engine import Database
from infra.recovery import __main__ as program
from infra.recovery.operating import Operating
from tests import given_up

DATA = {"user_id": str(uuid4()), "name": "Grace Hopper", "email": "grace@example.com"}

Run = Any


@pytest.fixture(autouse=True)
def machine(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings name the test's database, in which a consumer is recorded; Ada types."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    monkeypatch.setenv("LOGNAME", "ada")
    given_up.declare(database, given_up.SMS)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(program.app, "./tidings", list(words))
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


@pytest.fixture
def working(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """While a command waits, the programs work: half of the letters (the even ones) are handled, the others fail."""
    duty = Operating(database)
    sent: list[str] = []

    def work(_: float) -> None:
        duty.step()
        for each in given_up.relay(database):
            (given_up.fail_again if len(sent) % 2 else given_up.handle)(database, [each])
            sent.append(each)

    monkeypatch.setattr(watching, "pause", work)
    return sent


def told(run: Run, *words: str) -> Any:
    """What a command says to programs."""
    code, output, errors = run(*words, "--json")
    assert (0, "") == (code, errors)
    return json.loads(output)


def deeds(database: Database) -> list[tuple[str, str, str]]:
    with database.reading() as session:
        rows = audit.page(session, audit.Filter(), before=None, limit=100)
    return [(row.who, row.action, row.why) for row in rows]


def test_letters_are_listed_for_people_and_for_programs(run: Run, database: Database) -> None:
    older, newer = given_up.some(database, 2)
    code, output, errors = run("dead", "list")
    head, first, second = output.splitlines()
    assert (0, "") == (code, errors)
    assert head.split()[:6] == ["id", "state", "consumer", "type", "reason", "tries"]
    assert (newer, older) == (first.split()[0], second.split()[0])
    assert "NoCredit: top up" in first
    listed = told(run, "dead", "list")
    assert ([newer, older], None) == ([item["id"] for item in listed["items"]], listed["next"])


def test_lists_have_filters_and_go_on_where_they_ended(run: Run, database: Database) -> None:
    ids = given_up.some(database, 3)
    (raw,) = given_up.keep(database, [given_up.undecodable(b"\xff")])
    for words, expected in [
        (["--reason", "not-json"], [raw]),
        (["--exception", "NoCredit"], ids[::-1]),
        (["--type", "user.registered", "--until", "2026-11-22T09:31:30Z"], ids[1::-1]),
        (["--event", str(given_up.find(database, ids[0]).event_id).upper()], [ids[0]]),
        (["--since", "1h"], []),
        (["--state", "handled"], []),
        (["--state", "all", "--consumer", "sms", "--limit", "2"], [raw, ids[2]]),
    ]:
        assert expected == [item["id"] for item in told(run, "dead", "list", *words)["items"]], words
    following = told(run, "dead", "list", "--limit", "2")["next"]
    assert ids[1::-1] == [item["id"] for item in told(run, "dead", "list", "--cursor", following)["items"]]
    assert f"There are more: --cursor {following}" in run("dead", "list", "--limit", "2")[1]


def test_an_empty_list_says_so(run: Run) -> None:
    assert (0, "There is nothing.\n", "") == run("dead", "list")
    assert {"items": [], "next": None} == told(run, "dead", "groups")


def test_groups_are_listed_and_go_on_where_they_ended(run: Run, database: Database) -> None:
    given_up.some(database, 2)
    (raw,) = given_up.keep(database, [given_up.undecodable(b"\xff")])
    whole = told(run, "dead", "groups")["items"]
    assert [2, 1] == [group["count"] for group in whole]
    first = told(run, "dead", "groups", "--limit", "1")
    second = told(run, "dead", "groups", "--limit", "1", "--cursor", first["next"])
    assert (whole, None, raw) == (first["items"] + second["items"], second["next"], whole[1]["sample"])
    assert "consumers.sms.NoCredit" in run("dead", "groups")[1]


def test_one_letter_is_shown_whole_and_does_nothing_to_the_terminal(run: Run, database: Database) -> None:
    (one,) = given_up.keep(
        database, [given_up.undecodable(b'{"type": "\x1b[2J", "data": {"a": 1}}'.replace(b"\x1b", b"\\u001b"))]
    )
    code, output, _ = run("dead", "show", one)
    assert 0 == code
    assert one in output
    assert "\x1b" not in output
    assert {"a": 1} == told(run, "dead", "show", one)["data"]


def test_letters_are_discarded_together_or_not_at_all(run: Run, database: Database) -> None:
    ids = given_up.some(database, 3)
    unknown = str(uuid7())
    assert (1, "", f"tidings: {unknown}: No dead letter has this id. Nothing was discarded.\n") == run(
        "dead", "discard", ids[0], unknown, "--why", "old"
    )
    assert (0, "Discarded: 2.\n", "") == run("dead", "discard", *ids[:2], ids[0], "--why", "old")
    assert ids[2:] == given_up.in_state(database, "waiting")
    assert ["discarded"] == [item["state"] for item in told(run, "dead", "discard", ids[2], "--why", "x")["items"]]
    assert [("ada", "dead-letter.discard", "old")] * 2 == deeds(database)[1:]


def test_an_edit_takes_the_data_from_the_line_or_from_a_file(run: Run, database: Database, tmp_path: Path) -> None:
    one, other = given_up.some(database, 2)
    file = tmp_path / "data.json"
    file.write_text(json.dumps(DATA))
    code, output, _ = run("dead", "edit", one, "--data", json.dumps(DATA), "--why", "typing error")
    made = told(run, "dead", "edit", other, "--data", f"@{file}", "--why", "typing error")["event_id"]
    with database.reading() as session:
        rows = [decode(row.body.encode()) for row in outbox.due(session, 10)]
    assert (0, f"The new event is {rows[0].id}.\n", made) == (code, output, rows[1].id)
    assert [DATA, DATA] == [row.data.model_dump(mode="json") for row in rows]


def test_an_edit_that_does_not_fit_is_one_line_that_names_the_field(run: Run, database: Database) -> None:
    (one,) = given_up.some(database, 1)
    bad = json.dumps({**DATA, "email": "hunter2"})
    assert (1, "", "tidings: data.email: string pattern mismatch.\n") == run(
        "dead", "edit", one, "--data", bad, "--why", "x"
    )


def test_a_replay_of_one_is_waited_for(run: Run, database: Database, working: list[str]) -> None:
    good, bad = given_up.some(database, 2)
    assert (0, "handled\n", "on its way\n") == run("dead", "replay", good, "--why", "topped up")
    assert (1, "failed again, and waits\n", "on its way\n") == run("dead", "replay", bad)
    assert [good, bad] == working
    assert [("ada", "dead-letter.replay", ""), ("ada", "dead-letter.replay", "topped up")] == deeds(database)


def test_a_replay_of_many_shows_how_far_it_is(run: Run, database: Database, working: list[str]) -> None:
    ids = given_up.some(database, 4)
    code, output, errors = run("dead", "replay", "--consumer", "sms", "--rate", "100", "--canary", "1")
    assert 1 == code  # some failed again
    assert "done: 4 of 4 ended, 2 failed; 2 handled, 2 failed and wait again\n" == output
    assert errors.startswith("running: 0 of 4 ended, 0 failed; begins\n")
    assert ids == working


def test_a_replay_of_named_letters_is_an_operation_too(run: Run, database: Database, working: list[str]) -> None:
    ids = given_up.some(database, 3)
    code, output, _ = run("dead", "replay", *ids[:2], "--json")
    done = json.loads(output)
    assert (1, "done", 2, 1, 1) == (code, done["state"], done["total"], done["handled"], done["failed"])
    assert ids[:2] == working


def test_a_replay_need_not_be_waited_for(run: Run, database: Database) -> None:
    ids = given_up.some(database, 3)
    assert "replaying" == told(run, "dead", "replay", ids[0], "--no-wait")["state"]
    code, output, _ = run("dead", "replay", "--all", "--no-wait")
    (operation,) = told(run, "operations", "list")["items"]
    assert (0, 2, "running") == (code, operation["total"], operation["state"])
    assert f"Operation {operation['id']} replays 2 letters: ./tidings operations show {operation['id']}\n" == output


def test_nothing_to_replay_is_no_failure(run: Run) -> None:
    assert (0, "done: 0 of 0 ended, 0 failed; nothing to do\n", "") == run("dead", "replay", "--all")


def test_a_dry_run_counts_and_changes_nothing(run: Run, database: Database) -> None:
    ids = given_up.some(database, 3)
    given_up.handle_elsewhere(database, ids[0])
    counted = {"total": 3, "would_run": 2, "already_handled": 1, "effects": 0, "by_consumer": {"sms": 2}}
    assert counted == told(run, "dead", "replay", "--all", "--dry-run")
    assert 2 == told(run, "dead", "replay", *ids[:2], "--dry-run")["total"]
    assert ids == given_up.in_state(database, "waiting")


def test_ctrl_c_ends_the_waiting_alone(run: Run, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up.some(database, 2)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watching, "pause", interrupt)
    code, output, errors = run("dead", "replay", "--all")
    (operation,) = told(run, "operations", "list")["items"]
    assert (130, "", "running") == (code, output, operation["state"])
    assert errors.endswith(f"It goes on behind: ./tidings operations stop {operation['id']} stops it.\n")


def test_a_replay_that_does_not_move_says_so(run: Run, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up.some(database, 2)
    looks: list[float] = []

    def wait(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(watching, "pause", wait)
    monkeypatch.setattr(watching, "QUIET", watching.QUIET * 0)
    errors = run("dead", "replay", "--all")[2]
    assert 1 == errors.count("Nothing moves: does everything run? ./tidings status tells.\n")


def test_an_operation_is_shown_stopped_and_waited_for(run: Run, database: Database, working: list[str]) -> None:
    given_up.some(database, 5)
    begun = told(run, "dead", "replay", "--all", "--rate", "0.1", "--no-wait")
    assert "running" == told(run, "operations", "show", begun["id"])["state"]
    assert begun["id"] in run("operations", "show", begun["id"])[1]
    assert "stopping" == told(run, "operations", "stop", begun["id"], "--why", "too loud")["state"]
    code, output, _ = run("operations", "show", begun["id"], "--wait")
    assert (1, "stopped") == (code, output.partition(":")[0])
    assert [begun["id"]] == [item["id"] for item in told(run, "operations", "list", "--state", "stopped")["items"]]
    assert (1, "", "tidings: This operation has ended already (stopped).\n") == run("operations", "stop", begun["id"])
    assert ("ada", "operation.stop", "too loud") == deeds(database)[0]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("dead show {unknown}", "No dead letter has this id."),
        ("dead replay {unknown}", "No dead letter has this id."),
        ("dead replay {unknown} {one}", "Nothing was replayed."),
        ("dead edit {unknown} --data {{}} --why x", "No dead letter has this id."),
        ("dead replay {closed}", "This dead letter is closed: it was discarded."),
        ("dead discard {closed} --why x", "This dead letter is closed: it was discarded. Nothing was discarded."),
        ("operations show {unknown}", "No operation has this id."),
        ("operations stop {unknown}", "No operation has this id."),
    ],
)
def test_what_cannot_be_done_is_one_line_and_code_1(run: Run, database: Database, line: str, words: str) -> None:
    one, closed = given_up.some(database, 2)
    run("dead", "discard", closed, "--why", "old")
    code, output, errors = run(*line.format(unknown=uuid7(), one=one, closed=closed).split())
    assert (1, "") == (code, output)
    assert errors.startswith("tidings: ")
    assert errors.endswith(f"{words}\n")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("dead", "Missing command"), ("dead lost", "No such command"), ("dead list --typ x", "No such option"),
        ("dead list --reason bad-luck", "bad-luck"), ("dead list --state lost", "is no state"),
        ("dead list --since yesterday", "use 30m, 2h or 7d"), ("dead list --cursor 5", "an id is a UUID"),
        ("dead list --since 2026-11-22 --until 2026-11-21", "later than --since"), ("dead list --limit 0", "--limit"),
        ("dead list --consumer", "requires an argument"), ("dead groups --cursor x", "what the list before said"),
        ("dead show x", "an id is a UUID"), ("dead show", "Missing argument"), ("dead discard {one}", "--why"),
        ("dead discard {one} --why {long}", "1 to 500 characters"), ("dead replay", "name letters by id"),
        ("dead replay --all --consumer sms", "one of them"), ("dead replay {one} --all", "one of them"),
        ("dead replay {one} --consumer sms", "one of them"), ("dead replay --all --rate 0", "--rate"),
        ("dead replay --all --rate nan", "--rate"), ("dead replay --all --canary 0", "--canary"),
        ("dead replay --all --stop-at-failure-ratio 2", "at most 1"), ("dead edit {one} --data x --why x", "not JSON"),
        ("dead replay --all --stop-at-failure-ratio 0", "above 0"),
        ("dead edit {one} --data [] --why x", "JSON object"),
        ("dead edit {one} --data @/nowhere --why x", "cannot be read"), ("dead edit {one} --data {{}}", "--why"),
        ("operations list --state lost", "lost"), ("operations show x", "an id is a UUID"),
    ],
)  # fmt: skip
def test_a_command_line_that_makes_no_sense_is_one_line_and_code_2(
    run: Run, database: Database, line: str, words: str
) -> None:
    (one,) = given_up.some(database, 1)
    code, output, errors = run(*line.format(one=one, long="x" * 501).split())
    assert (2, "") == (code, output)
    assert words in errors
    assert errors.startswith("tidings: ")
    assert errors.count("\n") == 1
    assert [one] == given_up.in_state(database, "waiting")


def test_a_user_without_a_name_is_written_down_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert opened.who().startswith("user ")


def test_what_operators_did_is_listed_by_whom_to_what_and_when(run: Run, database: Database) -> None:
    one, other = given_up.some(database, 2)
    for letter, why in ((one, "first"), (other, "second")):
        run("dead", "discard", letter, "--why", why)
    assert ["second", "first"] == [each["why"] for each in told(run, "audit", "list")["items"]]
    for words, expected in [
        (["--target", one], ["first"]),
        (["--who", "nobody"], []),
        (["--who", "ada", "--action", "dead-letter.discard", "--since", "1h"], ["second", "first"]),
        (["--until", "1h"], []),
        (["--limit", "1", "--cursor", told(run, "audit", "list", "--limit", "1")["next"]], ["first"]),
    ]:
        assert expected == [each["why"] for each in told(run, "audit", "list", *words)["items"]], words
    head, line, *_ = run("audit", "list")[1].splitlines()
    assert (["at", "who", "action"], "ada") == (head.split()[:3], line.split()[2])
