"""`./tidings schedules`: what people and programs see, and every way to type it wrongly."""

import json
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from events.clock import HeartbeatTicked
from events.envelope import announce
from infra import commands
from infra.commands import watching
from infra.database import audit, consumers, operations, outbox, schedule_gaps, schedules, silences
from infra.database.engine import Database
from infra.subscriptions import Subscription
from scheduler import __main__ as program
from tests import kinds, timetables
from tests.timetables import DATA, DUE, SECOND, fired

NEW = ("stock-taking", "--type", "day.ended", "--data", json.dumps(DATA))
#: For what the database has no part in.
one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Run = Any


@pytest.fixture(autouse=True)
def machine(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings name the test's database, which has a timetable; Ada types."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    monkeypatch.setenv("LOGNAME", "ada")
    timetables.declare(database)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(program.app, "./tidings schedules", list(words))
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


@pytest.fixture
def working(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a command waits, a scheduler works: it fires four orders at each look."""

    def work(_: float) -> None:
        done = timetables.scheduler(database, 4)

        def tell(session: Any) -> None:
            for operation_id in operations.open_ids(session, operations.BACKFILL):
                found = operations.find(session, operation_id)
                assert found is not None
                found.handled += done
                found.state = "running" if done else "done"
                found.message = f"{found.handled} announced"
                operations.write(session, found)

        database.run(tell)

    monkeypatch.setattr(watching, "pause", work)


def told(run: Run, *words: str) -> Any:
    """What a command says to programs."""
    code, output, errors = run(*words, "--json")
    assert (0, "") == (code, errors), output
    return json.loads(output)


def deeds(database: Database) -> list[tuple[str, str, str, str]]:
    with database.reading() as session:
        rows = audit.page(session, audit.Filter(), before=None, limit=100)
    return [(row.who, row.action, row.target, row.why) for row in rows]


def moment(number: int) -> str:
    return (DUE + number * SECOND).isoformat()


def test_schedules_are_listed_for_people_and_for_programs(run: Run, database: Database) -> None:
    fired(database, 0)
    code, output, errors = run("list")
    head, first, second, third = output.splitlines()
    assert (0, "") == (code, errors)
    assert ["name", "state", "when", "type", "next"] == head.split()[:5]
    assert ["day-end", "taking", "tick"] == [line.split()[0] for line in (first, second, third)]
    assert "at 02:30 on Monday through Friday, Europe/Berlin" in second
    assert "0.250" in third
    items = told(run, "list")["items"]
    assert ["day-end", "taking", "tick"] == [item["name"] for item in items]
    assert 0.25 == items[2]["last_run"]["lateness"]


def test_the_list_is_filtered_and_goes_on_where_it_ended(run: Run, database: Database) -> None:
    database.run(lambda session: schedules.pause(session, "tick", "ada", "too loud"))

    def names(*words: str) -> list[str]:
        return [item["name"] for item in told(run, "list", *words)["items"]]

    assert [["tick"], ["taking"], ["day-end", "taking"]] == [
        names("--state", "paused"),
        names("--origin", "operator"),
        names("--type", "day.ended"),
    ]
    assert "There are more: --cursor day-end" in run("list", "--limit", "1")[1]
    assert ["taking", "tick"] == names("--cursor", "day-end")


def test_without_a_database_the_list_is_what_the_code_says_and_makes_no_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "nothing"
    folder.mkdir()
    monkeypatch.delenv("TIDINGS_DATABASE_URL")
    monkeypatch.setenv("TIDINGS_STATE_DIR", str(folder))
    code, output, errors = run("list")
    assert (0, "name", "") == (code, output.split()[0], errors)
    assert "heartbeat" in output
    assert "heartbeat" in {item["name"] for item in told(run, "list")["items"]}
    assert [] == list(folder.iterdir())


def test_all_of_one_schedule_is_shown(run: Run, database: Database) -> None:
    taker = Subscription("taker", ("heartbeat.ticked",), lambda *_: None)
    database.run(lambda session: consumers.declare(session, [taker]))
    event_id = fired(database, 0)
    envelope = announce(HeartbeatTicked(due_at=DUE), source="/scheduler", id=event_id)
    database.run(lambda session: outbox.add(session, envelope))
    database.run(lambda session: silences.begin(session, "tick", DUE))
    database.run(lambda session: schedules.pause(session, "tick", "grace", "too loud"))
    code, output, errors = run("show", "tick")
    assert (0, "") == (code, errors)
    for line in (
        "every second",
        "by grace: too loud",
        "due, fired, 0.250 s late",
        event_id,
        "taker: pending",
        '{"every": "1s"}',
    ):
        assert line in output
    assert 5 == sum(line.startswith("next ") for line in output.splitlines())
    assert "paused" == told(run, "show", "tick")["state"]


def test_runs_are_listed_and_filtered(run: Run, database: Database) -> None:
    for number in range(3):
        fired(database, number)
    fired(database, 3, state="skipped", note="sms has not ended the tick before.")

    def dues(*words: str) -> list[int]:
        items = told(run, "runs", "tick", *words)["items"]
        return [(datetime.fromisoformat(item["due_at"]) - DUE).seconds for item in items]

    assert [[3, 2, 1, 0], [3], [2, 1, 0]] == [
        dues(),
        dues("--state", "skipped"),
        dues("--kind", "due", "--state", "fired"),
    ]
    assert [[2, 1], [1, 0]] == [
        dues("--since", moment(1), "--until", moment(3)),
        dues("--cursor", told(run, "runs", "tick", "--limit", "2")["next"]),
    ]
    code, output, _ = run("runs", "tick", "--limit", "2")
    assert (0, ["due", "kind", "state", "at"]) == (code, output.split()[:4])
    assert "sms has not ended the tick before." in output
    assert f"There are more: --cursor {moment(2)}" in output


def test_gaps_are_listed(run: Run, database: Database) -> None:
    gap = schedule_gaps.new(
        schedule="tick", reason="missed", first=DUE, last=DUE + 9 * SECOND, due=10, fired=1, policy="latest"
    )
    database.run(partial(schedule_gaps.add, gap=gap))
    assert "missed" in run("gaps", "tick")[1]
    assert [(10, 1)] == [(item["due"], item["fired"]) for item in told(run, "gaps", "tick")["items"]]
    assert [] == told(run, "gaps", "tick", "--cursor", gap.id)["items"]


def test_a_pause_and_a_resumption_say_what_they_did(run: Run, database: Database) -> None:
    timetables.back(database, "tick", hours=1)
    assert (0, "tick is paused, in every replica at once.\n", "") == run("pause", "tick", "--why", "too loud")
    assert "paused" == told(run, "show", "tick")["state"]
    code, output, errors = run("resume", "tick", "--why", "quiet again")
    assert (0, "") == (code, errors)
    assert output.startswith("tick goes on within two seconds; 360")
    assert [("ada", "schedule.resume", "tick", "quiet again"), ("ada", "schedule.pause", "tick", "too loud")] == deeds(
        database
    )


def test_a_run_of_now_names_its_event(run: Run, database: Database) -> None:
    ordered = told(run, "run", "tick", "--why", "to see it")
    assert ("manual", "ordered", "ada: to see it") == (ordered["kind"], ordered["state"], ordered["note"])
    _, output, _ = run("run", "tick", "--why", "once more")
    newest = told(run, "runs", "tick")["items"][0]
    assert f"A scheduler fires it within a second: its event is {newest['event_id']}.\n" == output


def test_a_backfill_is_counted_first(run: Run, database: Database) -> None:
    fired(database, 3)
    words = ("backfill", "tick", "--since", moment(0), "--until", moment(10), "--dry-run")
    assert {"would_fire": 9, "already_there": 1} == {
        name: value for name, value in told(run, *words).items() if isinstance(value, int)
    }
    code, output, errors = run(*words)
    assert (0, "") == (code, errors)
    assert output.startswith("Would fire: 9 (")
    assert output.endswith("; fired or ordered already: 1.\n")
    assert [] == deeds(database)
    none = run("backfill", "tick", "--since", moment(3), "--until", moment(4), "--dry-run")
    assert (0, "Would fire: 0; fired or ordered already: 1.\n", "") == none


def test_a_backfill_shows_how_far_it_is_until_it_has_ended(run: Run, working: None) -> None:
    words = ("backfill", "tick", "--since", moment(0), "--until", moment(10), "--why", "lost")
    code, output, errors = run(*words)
    assert (0, "done: 10 of 10 ended, 0 failed; 10 announced\n") == (code, output)
    assert errors.startswith("running: 0 of 10 ended")
    done = told(run, *words[:-2], "--why", "again")
    assert ("done", 0) == (done["state"], done["total"])


def test_a_backfill_need_not_be_waited_for(run: Run) -> None:
    for number, option in enumerate(("--no-wait", "--detach")):
        since, until = moment(number * 10), moment(number * 10 + 10)
        code, output, errors = run("backfill", "tick", "--since", since, "--until", until, "--why", "lost", option)
        assert (0, "") == (code, errors)
        assert "fires 10 due times: ./tidings operations show" in output


def test_a_schedule_is_added_and_removed(run: Run, database: Database) -> None:
    code, output, errors = run("add", *NEW, "--every", "30s", "--why", "each half minute")
    assert (0, "") == (code, errors)
    assert output.startswith("stock-taking fires every 30 seconds: next at ")
    assert DATA == told(run, "show", "stock-taking")["data"]
    assert (1, "", "tidings: A schedule of this name exists already.\n") == run("add", *NEW, "--every", "30s")
    removed = run("remove", "stock-taking", "--why", "no stock")
    expected = "stock-taking is removed; ./tidings schedules runs stock-taking shows its runs.\n"
    assert (0, expected, "") == removed
    assert (1, "", "tidings: No schedule has this name.\n") == run("show", "stock-taking")
    assert ["schedule.remove", "schedule.add"] == [action for _, action, _, _ in deeds(database)]


def test_each_kind_of_trigger_can_be_added(run: Run) -> None:
    daily = told(run, "add", *NEW, "--daily", "07:00", "--zone", "Europe/Berlin", "--on", "mon", "--on", "fri")
    assert {"daily": "07:00", "zone": "Europe/Berlin", "on": ["mon", "fri"]} == daily["trigger"]
    other = ("other", *NEW[1:], "--missed", "all", "--missed-limit", "7", "--overlap", "skip", "--description", "More.")
    cron = told(run, "add", *other, "--cron", "30 2 * * MON-FRI")
    assert {"cron": "30 2 * * MON-FRI", "zone": "UTC"} == cron["trigger"]
    assert ("all", 7, "skip", "More.") == tuple(
        cron[name] for name in ("missed", "missed_limit", "overlap", "description")
    )


@one_database
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*NEW, "--every", "0.5s"), "Invalid value for --every: a fire more often than each second is refused."),
        ((*NEW, "--cron", "61 * * * *"), "Invalid value for --cron: this cron cannot be read (bad minute)"),
        ((*NEW, "--cron", "* * * * *", "--zone", "Mars"), "Invalid value for --zone: no such time zone"),
        ((*NEW, "--every", "1s", "--zone", "UTC"), "Invalid value for --zone: "),
        (
            (*NEW, "--every", "1s", "--daily", "07:00"),
            "Invalid value for --every, --cron, --daily: a trigger is one of",
        ),
        (NEW, "Invalid value for --every, --cron, --daily: a trigger is one of"),
        (("Stock Taking", *NEW[1:], "--every", "1s"), "Invalid value for name: use words of a-z and 0-9"),
        ((*NEW, "--every", "1s", "--description", "a\tb"), "Invalid value for --description: at most 500 characters"),
        ((*NEW, "--every", "1s", "--missed", "none"), "Invalid value for '--missed'"),
        ((*NEW, "--every", "1s", "--missed-limit", "0"), "Invalid value for '--missed-limit'"),
        ((*NEW[:4], "nonsense", "--every", "1s"), "Invalid value for '--data': this is not JSON."),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused_in_one_line(
    run: Run, database: Database, words: tuple[str, ...], says: str
) -> None:
    code, output, errors = run("add", *words)
    assert (2, "", 1) == (code, output, errors.count("\n"))
    assert errors.startswith(f"tidings: {says}")
    assert [] == deeds(database)


@one_database
def test_data_that_do_not_fit_are_refused_without_being_repeated(run: Run) -> None:
    new = (*NEW[:3], "--every", "1s", "--data")
    assert (1, "", "tidings: data.day: date from datetime parsing.\n") == run("add", *new, '{"day": "secret"}')
    assert (1, "", "tidings: type: unknown type.\n") == run("add", *NEW[:2], "a.b", "--every", "1s")


@one_database
def test_parameters_that_do_not_fit_the_kind_of_jobs_are_refused_in_words(run: Run, database: Database) -> None:
    kinds.declare(database)
    new = (
        "books",
        "--type",
        f"job.requested.{kinds.REPORT}",
        "--every",
        "1h",
        "--data",
        '{"days": 0, "since": "secret"}',
    )
    code, output, errors = run("add", *new)
    expected = [
        "tidings: data.days: This must be at least 1.",
        "tidings: data.since: This must be a time such as 2026-11-22T09:30:00Z.",
    ]
    assert (1, "", expected) == (code, output, sorted(errors.splitlines()))


@one_database
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("show", "unknown"), 1, "No schedule has this name."),
        (("runs", "unknown"), 1, "No schedule has this name."),
        (("gaps", "Tick"), 1, "No schedule has this name."),
        (("pause", "unknown", "--why", "x"), 1, "No schedule has this name."),
        (("resume", "tick", "--why", "x"), 1, "This schedule is not paused."),
        (("remove", "tick", "--why", "x"), 1, "This schedule is made in code: it can be paused, not deleted."),
        (("pause", "tick"), 2, "Missing option '--why'."),
        (("run", "tick", "--why", ""), 2, "Invalid value for '--why': "),
        (("list", "--state", "broken"), 2, "Invalid value for '--state'"),
        (("runs", "tick", "--since", "1d", "--until", "2d"), 2, "Invalid value for --until: it must be later"),
        (("backfill", "tick", "--since", "1h"), 2, "Invalid value for --why: say why, or --dry-run."),
        (("backfill", "tick", "--since", "yesterday", "--dry-run"), 2, "Invalid value for '--since'"),
        (("backfill", "tick", "--since", "1d", "--dry-run"), 1, "until: more than 10,000 due times."),
        (("backfill", "tick", "--since", "1h", "--until", "2h", "--dry-run"), 1, "until: not later than since."),
        (
            ("backfill", "tick", "--since", "1h", "--until", "2999-01-01T00:00:00Z", "--dry-run"),
            1,
            "until: in the future.",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run: Run, words: tuple[str, ...], code: int, says: str) -> None:
    ended, output, errors = run(*words)
    assert (code, "", 1) == (ended, output, errors.count("\n"))
    assert errors.startswith(f"tidings: {says}")


@one_database
def test_a_backfill_may_end_now(run: Run, database: Database) -> None:
    timetables.back(database, "tick", hours=1)
    counted = told(run, "backfill", "tick", "--since", "10s", "--dry-run")
    assert 9 <= counted["would_fire"] <= 11
    assert timedelta(0) <= datetime.fromisoformat(counted["last"]) - datetime.fromisoformat(counted["first"])
