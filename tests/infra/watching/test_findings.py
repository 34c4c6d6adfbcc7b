"""A change of health is told once, when it has lasted; an outage that is over is told when it is learned of."""

from datetime import UTC, datetime, timedelta

import pytest

from events.health import HealthChanged
from infra.database import health
from infra.database.engine import Database
from infra.outages import Outage
from infra.watching.findings import Finding, note

START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WELL, ILL = Finding("smtp", True, "answers"), Finding("smtp", False, "does not answer")


def look(database: Database, finding: Finding, now: datetime) -> HealthChanged | None:
    with database.transaction() as session:
        return note(session, finding, now, patience=50)


def told(database: Database, *findings: Finding) -> list[tuple[str, datetime, datetime | None]]:
    """What is told when there is a look each minute."""
    changes = [look(database, finding, START + number * MINUTE) for number, finding in enumerate(findings)]
    return [(each.state, each.since, each.failing_since) for each in changes if each is not None]


def test_a_failure_is_told_at_its_second_finding_and_once(database: Database) -> None:
    assert [("failing", START + MINUTE, None)] == told(database, WELL, ILL, ILL, ILL, ILL)
    with database.reading() as session:
        (row,) = health.everything(session)
    assert ("failing", START + MINUTE, START + 4 * MINUTE, "does not answer", None) == (
        row.state,
        row.since,
        row.checked_at,
        row.detail,
        row.doubted_since,
    )


def test_the_end_of_a_failure_says_since_when_it_had_failed(database: Database) -> None:
    expected = [("failing", START + MINUTE, None), ("ok", START + 3 * MINUTE, START + MINUTE)]
    assert expected == told(database, WELL, ILL, ILL, WELL, WELL, WELL)
    with database.reading() as session:
        assert "ok" == health.everything(session)[0].state


def test_what_fails_at_the_first_look_ever_is_told_too(database: Database) -> None:
    assert [("failing", START, None)] == told(database, ILL, ILL)


@pytest.mark.parametrize("findings", [[WELL, ILL, WELL, WELL], [WELL, ILL, WELL, ILL, WELL, ILL, WELL]])
def test_what_comes_and_goes_is_no_news(database: Database, findings: list[Finding]) -> None:
    assert [] == told(database, *findings)


def test_looks_that_come_all_at_once_count_as_one(database: Database) -> None:
    """After an outage of the broker the looks of many minutes arrive within a second."""
    looks = [look(database, ILL, START + number * timedelta(milliseconds=50)) for number in range(20)]
    assert {None} == set(looks)


def test_an_outage_that_is_over_is_told_once(database: Database) -> None:
    outage = Outage(START + 2 * MINUTE, START + 9 * MINUTE)
    back = Finding("smtp", True, "answers", outage)
    look(database, WELL, START)
    change = look(database, back, START + 10 * MINUTE)
    assert change is not None
    assert ("ok", outage.until, outage.since) == (change.state, change.since, change.failing_since)
    with database.reading() as session:
        assert "answers; was failing from 2026-11-22 09:32:00Z until 2026-11-22 09:39:00Z" == (
            health.everything(session)[0].detail
        )
    assert look(database, back, START + 11 * MINUTE) is None


def test_an_outage_that_two_processes_met_is_told_by_one(database: Database) -> None:
    """The other was connected again a little later."""
    since, until = START + 2 * MINUTE, START + 9 * MINUTE
    look(database, WELL, START)
    first, second = (
        look(database, Finding("smtp", True, "answers", outage), START + 10 * MINUTE)
        for outage in (Outage(since, until), Outage(since + MINUTE / 60, until + MINUTE / 60))
    )
    assert (True, None) == (first is not None, second)
    third = Outage(START + 11 * MINUTE, START + 15 * MINUTE)
    assert look(database, Finding("smtp", True, "answers", third), START + 16 * MINUTE) is not None


def test_a_short_outage_and_one_before_the_first_look_are_no_news(database: Database) -> None:
    assert look(database, Finding("smtp", True, "answers", Outage(START - MINUTE, START)), START) is None
    short = Outage(START + MINUTE, START + MINUTE + timedelta(seconds=49))
    assert look(database, Finding("smtp", True, "answers", short), START + 2 * MINUTE) is None


def test_a_clock_that_is_set_back_takes_nothing_back(database: Database) -> None:
    look(database, WELL, START)
    look(database, WELL, START - 60 * MINUTE)
    with database.reading() as session:
        assert START == health.everything(session)[0].checked_at
