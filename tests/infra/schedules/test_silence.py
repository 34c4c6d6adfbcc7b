"""A schedule that has not fired for more than two of its periods is told of, once, and so is that it fires again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from events.clock import due_id
from events.envelope import Event, decode
from events.schedules import ScheduleRecovered, ScheduleStalled
from infra.database import outbox, schedules
from infra.database.engine import Database
from infra.database.schedule_tables import Schedule
from infra.database.schedules import Definition
from infra.database.tables import Outbox, ScheduleRun, table
from infra.schedules import silence
from infra.schedules.silence import CONFIRM, SLACK, Silence, Watch

NAME = "report"
_SCHEDULE = table(Schedule)
#: How long ago a schedule of each minute did last what it is to do each minute, so that it is silent.
LONG = timedelta(minutes=3) + SLACK


@pytest.fixture
def confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is overdue is taken for silent at the first look."""
    monkeypatch.setattr(silence, "CONFIRM", 0.0)


def make(database: Database, name: str = NAME, *, ago: timedelta = LONG, **changes: Any) -> datetime:
    """A schedule of each minute, whose due times count since then."""
    since = datetime.now(UTC) - ago
    with database.transaction() as session:
        schedules.add(session, Definition(name=name, trigger={"every": "1m"}, type="heartbeat.ticked"))
        change = update(_SCHEDULE).where(_SCHEDULE.c.name == name)
        session.connection().execute(change.values(**{"counts_from": since, **changes}))
    return since


def run(database: Database, ago: timedelta, name: str = NAME, state: str = "fired", kind: str = "due") -> datetime:
    """A row of the ledger."""
    due = datetime.now(UTC) - ago
    row = {"schedule": name, "due_at": due, "event_id": due_id(name, due), "fired_at": due, "kind": kind}
    with database.transaction() as session:
        session.connection().execute(insert(table(ScheduleRun)), {**row, "state": state})
    return due


def change(database: Database, **values: Any) -> None:
    with database.transaction() as session:
        session.connection().execute(update(_SCHEDULE).values(values))


def silent_since(database: Database, name: str = NAME) -> datetime | None:
    with database.reading() as session:
        found = schedules.find(session, name)
    assert found is not None
    return found.silent_since


def announced(database: Database) -> list[Event]:
    """The events that wait, each given once."""
    with database.transaction() as session:
        rows = outbox.due(session, 100)
        session.connection().execute(delete(table(Outbox)))
    return [decode(row.body.encode()).data for row in rows]


def full_minute(moment: datetime) -> datetime:
    """The first one after it."""
    return moment.replace(second=0, microsecond=0) + timedelta(minutes=1)


@pytest.mark.usefixtures("confirmed")
def test_a_schedule_that_never_fired_is_silent_after_two_due_times_and_told_of_once(database: Database) -> None:
    since = full_minute(make(database))
    for duty in (Silence(database), Silence(database)):
        duty.step()
    assert [ScheduleStalled(schedule=NAME, silent_since=since)] == announced(database)
    assert since == silent_since(database)


@pytest.mark.usefixtures("confirmed")
def test_it_counts_from_the_last_due_time_that_was_fired(database: Database) -> None:
    make(database, ago=timedelta(days=1))
    last = run(database, LONG)
    Silence(database).step()
    stalled = ScheduleStalled(schedule=NAME, silent_since=full_minute(last), last_due_at=last)
    assert [stalled] == announced(database)


@pytest.mark.usefixtures("confirmed")
def test_one_that_fires_again_is_told_of_once(database: Database) -> None:
    make(database)
    Silence(database).step()
    since = silent_since(database)
    last = run(database, timedelta(seconds=1))
    for duty in (Silence(database), Silence(database)):
        duty.step()
    assert [ScheduleRecovered(schedule=NAME, silent_since=since, last_due_at=last)] == announced(database)[1:]
    assert None is silent_since(database)


def paused(database: Database) -> None:
    with database.transaction() as session:
        schedules.pause(session, NAME, "operator", "we move")


def retired(database: Database) -> None:
    change(database, retired_at=datetime.now(UTC))


@pytest.mark.usefixtures("confirmed")
@pytest.mark.parametrize("end", [paused, retired])
def test_a_paused_or_retired_schedule_is_not_silent_and_ends_to_be_so_without_a_word(
    database: Database, end: Callable[[Database], None]
) -> None:
    make(database)
    end(database)
    Silence(database).step()
    assert [] == announced(database)
    change(database, silent_since=datetime.now(UTC))
    Silence(database).step()
    assert (None, []) == (silent_since(database), announced(database))


QUIET: dict[str, Callable[[Database], object]] = {
    "new": lambda database: make(database, ago=timedelta()),
    "not due twice": lambda database: make(database, ago=timedelta(seconds=30)),
    "fired lately": lambda database: (make(database), run(database, timedelta(seconds=30))),
    "a daily one, since less than a day": lambda database: make(
        database, ago=timedelta(hours=23), trigger={"daily": "07:00", "zone": "UTC"}
    ),
    "left out by the overlap policy": lambda database: (
        make(database, overlap="skip"), run(database, timedelta(seconds=30), state="skipped")
    ),
    "decided as a gap": lambda database: (
        make(database), run(database, timedelta(seconds=30), state="skipped", kind="missed")
    ),
    "fired an hour from now, by a clock that went back": lambda database: (
        make(database), run(database, timedelta(hours=-1))
    ),
    "not readable": lambda database: make(database, trigger={"sometimes": "1m"}),
    "never due again": lambda database: make(database, trigger={"cron": "0 0 30 2 *", "zone": "UTC"}),
}  # fmt: skip


@pytest.mark.usefixtures("confirmed")
@pytest.mark.parametrize("prepare", [pytest.param(each, id=name) for name, each in QUIET.items()])
def test_it_is_not_silent(database: Database, prepare: Callable[[Database], object]) -> None:
    prepare(database)
    Silence(database).step()
    assert [] == announced(database)


LOUD: dict[str, Callable[[Database], object]] = {
    "announcing it fails": lambda database: run(database, timedelta(seconds=30), state="skipped"),
    "a manual run": lambda database: run(database, timedelta(seconds=30), kind="manual"),
    "a backfill that is ordered": lambda database: run(
        database, timedelta(seconds=30), kind="backfill", state="ordered"
    ),
}


@pytest.mark.usefixtures("confirmed")
@pytest.mark.parametrize("prepare", [pytest.param(each, id=name) for name, each in LOUD.items()])
def test_what_is_no_fire_of_its_own_does_not_end_the_silence(
    database: Database, prepare: Callable[[Database], object]
) -> None:
    make(database)
    prepare(database)
    Silence(database).step()
    assert [ScheduleStalled] == [type(event) for event in announced(database)]


def test_what_is_overdue_since_a_moment_only_is_not_told_of(database: Database) -> None:
    """A clock that jumped, a machine that slept, a database that was away: the schedulers need a second to catch up."""
    make(database)
    duty = Silence(database)
    duty.step()
    assert 0 < CONFIRM
    assert [] == announced(database)
    run(database, timedelta())
    duty.step()
    assert [] == announced(database)


def test_who_takes_the_duty_over_does_not_take_a_silent_schedule_for_one_that_fires(database: Database) -> None:
    since = datetime.now(UTC) - timedelta(minutes=2)
    make(database, silent_since=since)
    Silence(database).step()
    assert (since, []) == (silent_since(database), announced(database))


@pytest.mark.usefixtures("confirmed")
def test_readiness_names_three_silent_schedules_and_counts_the_others(database: Database) -> None:
    watch = Watch(database)
    assert {} == watch.problems()
    for number in range(4):
        make(database, f"silent-{number}")
    said = "silent for more than two periods: silent-0, silent-1, silent-2 and 1 more"
    assert {"schedules": said} == Watch(database).problems()
    assert {} == watch.problems()  # it does not look again so soon
