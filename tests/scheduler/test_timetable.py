"""The timetable: its names last, and every replica computes the same due times."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.clock import DayEnded, HeartbeatTicked, HourPassed
from events.envelope import event_types
from infra.schedules import triggers
from scheduler.timetable import TIMETABLE, Schedule

BY_NAME = {schedule.name: schedule for schedule in TIMETABLE}
moments = st.datetimes(datetime(2021, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_the_names_are_written_out_and_last() -> None:
    """They are part of the events' ids: a renamed schedule would announce its last due time again."""
    assert {"heartbeat", "day-end", "health-check", "reminders", "cleaning"} == set(BY_NAME)
    assert len(TIMETABLE) == len(BY_NAME)


@pytest.mark.parametrize("schedule", TIMETABLE, ids=lambda schedule: schedule.name)
def test_each_line_keeps_its_word(schedule: Schedule) -> None:
    """It announces what it says, the same each time it is asked, and is written down so that it can be read again."""
    due = schedule.trigger.next_after(datetime(2028, 2, 29, 12, tzinfo=UTC))
    assert due is not None
    event = schedule.announce(due)
    assert (schedule.type, event) == (event.TYPE, schedule.announce(due))
    assert schedule.type in event_types()
    assert schedule.trigger == triggers.read(schedule.definition.trigger)
    assert schedule.missed in {"skip", "latest", "all"}
    assert schedule.overlap in {"allow", "skip"}
    assert schedule.description.endswith(".")


@given(moments)
def test_the_heartbeat_is_due_at_each_full_ten_seconds_whenever_a_replica_starts(started: datetime) -> None:
    due = BY_NAME["heartbeat"].trigger.next_after(started)
    assert due is not None
    assert (0, 0) == (due.second % 10, due.microsecond)
    assert timedelta() < due - started <= timedelta(seconds=10)
    assert HeartbeatTicked(due_at=due) == BY_NAME["heartbeat"].announce(due)


def test_the_end_of_a_day_names_the_day_that_is_over() -> None:
    schedule = BY_NAME["day-end"]
    due = schedule.trigger.next_after(datetime(2028, 2, 29, 12, tzinfo=UTC))
    assert datetime(2028, 3, 1, tzinfo=UTC) == due
    assert DayEnded(day=date(2028, 2, 29)) == schedule.announce(due)


@given(moments)
def test_the_windows_of_the_reminders_touch(started: datetime) -> None:
    """Each begins where the one before ended, so that nobody is left out."""
    schedule = BY_NAME["reminders"]
    first, second = islice(schedule.trigger.ascending(started), 2)
    one, other = (schedule.announce(due) for due in (first, second))
    assert isinstance(one, HourPassed)
    assert isinstance(other, HourPassed)
    assert (first, first, second) == (one.until, other.since, other.until)
