"""The timetable: its names last, and every replica computes the same due times."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from events.clock import DayEnded, HeartbeatTicked, HourPassed
from scheduler.timetable import TIMETABLE

BY_NAME = {schedule.name: schedule for schedule in TIMETABLE}
moments = st.datetimes(datetime(2021, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_the_names_are_written_out_and_last() -> None:
    """They are part of the events' ids: a renamed schedule would announce its last due time again."""
    assert {"heartbeat", "day-end", "health-check", "reminders", "cleaning"} == set(BY_NAME)


@given(moments)
def test_the_heartbeat_is_due_at_each_full_ten_seconds_whenever_a_replica_starts(started: datetime) -> None:
    due = BY_NAME["heartbeat"].trigger.get_next_fire_time(None, started)
    assert (0, 0) == (due.second % 10, due.microsecond)
    assert timedelta() <= due - started < timedelta(seconds=10)
    assert HeartbeatTicked(due_at=due) == BY_NAME["heartbeat"].announce(due)


def test_the_end_of_a_day_names_the_day_that_is_over() -> None:
    schedule = BY_NAME["day-end"]
    due = schedule.trigger.get_next_fire_time(None, datetime(2028, 2, 29, 12, tzinfo=UTC))
    assert datetime(2028, 3, 1, tzinfo=UTC) == due
    assert DayEnded(day=date(2028, 2, 29)) == schedule.announce(due)


@given(moments)
def test_the_windows_of_the_reminders_touch(started: datetime) -> None:
    """Each begins where the one before ended, so that nobody is left out."""
    schedule = BY_NAME["reminders"]
    first = schedule.trigger.get_next_fire_time(None, started)
    second = schedule.trigger.get_next_fire_time(None, first + timedelta(microseconds=1))
    one, other = (schedule.announce(due) for due in (first, second))
    assert isinstance(one, HourPassed)
    assert isinstance(other, HourPassed)
    assert (first, first, second) == (one.until, other.since, other.until)
