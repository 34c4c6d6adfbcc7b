"""The activity report: whose days it counts, what is in its files, and that it goes on where it was stopped."""

import csv
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

import consumers.activity_report as kind
from consumers.activity_report import report
from consumers.activity_report.asking import ActivityReport, Days
from infra.database.engine import Database
from infra.jobs import attaching
from infra.settings import load
from tests.plans import plans, scanned
from tests.reports import ASKED_AT, Doubled, Stop, put

HOUR = timedelta(hours=1)
#: The night in which the clocks of Berlin go back: a day of 25 hours, from 22:00 to 23:00 UTC.
LONG_DAY = datetime(2026, 10, 24, 22, tzinfo=UTC)
OCTOBER = {"since": "2026-10-25", "until": "2026-10-27", "zone": "Europe/Berlin"}


def run(job: Doubled, **parameters: Any) -> Doubled:
    report(ActivityReport(**parameters), job)
    return job


def lines(job: Doubled) -> list[list[str]]:
    return list(csv.reader(job.files["report.csv"].decode().splitlines()))


def as_json(job: Doubled) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(job.files["report.json"])
    return found


def test_days_are_those_of_the_zone_and_hold_all_of_their_hours(database: Database) -> None:
    put(database, ((LONG_DAY + number * HOUR, "user.registered") for number in range(-1, 26)))
    put(database, [(LONG_DAY, "minute.passed")])
    job = run(Doubled(database), **OCTOBER)
    assert [
        ["day", "type", "events"],
        ["2026-10-25", "user.registered", "25"],
        ["2026-10-25", "minute.passed", "1"],
        ["2026-10-26", "user.registered", "1"],
        ["2026-10-26", "minute.passed", "0"],
    ] == lines(job)
    first, second = as_json(job)["days"]
    assert ("2026-10-24T22:00:00+00:00", "2026-10-25T23:00:00+00:00") == (first["begins_at"], first["ends_at"])
    assert ({"user.registered": 25, "minute.passed": 1}, {"user.registered": 1}) == (first["events"], second["events"])
    assert {"user.registered": 26, "minute.passed": 1} == as_json(job)["types"]


def test_the_day_of_the_spring_change_has_23_hours(sqlite_database: Database) -> None:
    begin = datetime(2026, 3, 28, 23, tzinfo=UTC)
    put(sqlite_database, ((begin + number * HOUR, "hour.passed") for number in range(24)))
    job = run(Doubled(sqlite_database), since="2026-03-29", until="2026-03-30", zone="Europe/Berlin")
    assert [["2026-03-29", "hour.passed", "23"]] == lines(job)[1:]


def test_only_the_types_that_are_asked_for_are_counted_and_each_of_them_is_there(database: Database) -> None:
    put(database, [(LONG_DAY, "user.registered"), (LONG_DAY, "minute.passed")])
    job = run(Doubled(database), **OCTOBER, types=["user.registered", "no.such"])
    assert [["2026-10-25", "user.registered", "1"], ["2026-10-25", "no.such", "0"]] == lines(job)[1:3]
    assert 1 == as_json(job)["total"]


def test_unless_told_it_is_about_the_seven_days_before_that_of_the_request(sqlite_database: Database) -> None:
    settings = load(zone="Pacific/Auckland")
    job = run(Doubled(sqlite_database, settings, requested_at=datetime(2026, 11, 22, 11, tzinfo=UTC)))
    found = as_json(job)
    assert ("2026-11-16", "2026-11-23", "Pacific/Auckland") == (found["since"], found["until"], found["zone"])
    assert 7 == len(found["days"])


@pytest.mark.parametrize(
    ("asked", "since", "until"),
    [
        ({"until": date(2026, 11, 8)}, date(2026, 11, 1), date(2026, 11, 8)),
        ({"since": date(2026, 11, 1)}, date(2026, 11, 1), date(2026, 11, 22)),
        ({"since": date(2026, 12, 1)}, date(2026, 12, 1), date(2026, 12, 2)),
        ({"since": date(1990, 1, 1)}, date(1990, 1, 1), date(2000, 1, 2)),
    ],
)
def test_one_end_is_enough(asked: dict[str, date], since: date, until: date) -> None:
    assert Days(since, until, "UTC") == ActivityReport(**asked).days("UTC", ASKED_AT)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"since": "2026-11-02", "until": "2026-11-02"}, "must be after since"),
        ({"since": "2000-01-01", "until": "2026-01-01"}, "3653 days after since"),
        ({"since": "0001-01-01"}, "since"),
        ({"until": "9999-12-31"}, "until"),
        ({"zone": "Europe/Bielefeld"}, "no such time zone"),
        ({"types": []}, "types"),
        ({"mail_to": "a@example.com, b@example.com"}, "mail_to"),
        ({"untill": "2026-11-02"}, "untill"),
    ],
)
def test_what_makes_no_report_is_refused_by_name(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        ActivityReport(**asked)


def test_it_goes_on_behind_the_days_that_it_has_counted(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "_BETWEEN", 0.0)
    put(database, ((LONG_DAY + number * HOUR, "hour.passed") for number in range(5 * 24)))
    asked = {**OCTOBER, "until": "2026-10-30"}
    whole = run(Doubled(database), **asked)
    job = Doubled(database, stop_at=3)
    with pytest.raises(Stop):
        run(job, **asked)
    assert {} == job.files
    resumed = Doubled(database, load(zone="Asia/Tokyo"), resume_state=job.states[-1])
    run(resumed, **asked)
    assert [3, 4, 5] == [done for done, *_ in resumed.said]
    assert lines(whole) == lines(resumed)


def test_it_says_how_far_it_is(sqlite_database: Database) -> None:
    job = run(Doubled(sqlite_database), **OCTOBER)
    assert [(1, 2, "25 Oct 2026"), (2, 2, "26 Oct 2026")] == job.said


def test_a_day_that_is_not_over_is_marked(sqlite_database: Database) -> None:
    today = datetime.now(UTC).date()
    job = run(Doubled(sqlite_database), since=today - timedelta(days=1), until=today + timedelta(days=2), zone="UTC")
    assert [True, False, False] == [day["is_complete"] for day in as_json(job)["days"]]


def test_a_day_costs_a_range_of_an_index_however_long_the_log_is(database: Database) -> None:
    names = [f"thing{number}.done" for number in range(10)]
    put(database, ((LONG_DAY + timedelta(minutes=3 * number), names[number % 10]) for number in range(-9_000, 9_000)))
    for types in (None, names[:3]):
        with plans(database) as found:
            run(Doubled(database), **OCTOBER, types=types)
        assert found
        assert [] == [plan for plan in found if scanned(plan, "activity")]


def test_spreadsheets_take_no_name_for_a_formula(sqlite_database: Database) -> None:
    put(sqlite_database, [(LONG_DAY, "=cmd|' /C calc'!A0"), (LONG_DAY, 'a,"b"\n')])
    found = list(csv.reader(run(Doubled(sqlite_database), **OCTOBER).files["report.csv"].decode().splitlines(True)))
    assert {"'=cmd|' /C calc'!A0", 'a,"b"\n'} == {name for _, name, _ in found[1:]}


def test_the_files_have_the_table_first(sqlite_database: Database) -> None:
    job = run(Doubled(sqlite_database))
    wanted = {"report.csv": "text/csv", "report.json": "application/json", "report.html": "text/html"}
    assert list(wanted.items()) == list(job.types.items())
    assert [] == job.effects


def test_the_mail_has_the_figures_and_names_the_file_that_goes_with_it(sqlite_database: Database) -> None:
    put(sqlite_database, [(LONG_DAY, "user.registered")] * 1_234)
    ((effect, arguments),) = run(Doubled(sqlite_database), **OCTOBER, mail_to="ada@example.com").effects
    assert ("mail", "ada@example.com", [["user.registered", "1,234"]]) == (
        effect,
        arguments["to"],
        arguments["values"]["types"],
    )
    assert [{"job": Doubled.id, "name": "report.csv"}] == arguments["files"]
    assert len(json.dumps(arguments)) < 1_000


def test_a_table_that_mail_servers_would_refuse_is_not_sent_along(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "LARGEST", 10)
    ((_, arguments),) = run(Doubled(sqlite_database), mail_to="ada@example.com").effects
    assert ([], False) == (arguments["files"], arguments["values"]["attached"])
