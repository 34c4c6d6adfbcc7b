"""The timetable: its names last, and every replica computes the same due times."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.clock import DayEnded, HeartbeatTicked, HourPassed
from events.envelope import event_types
from infra.schedules import triggers
from infra.schedules.triggers import Every
from scheduler.timetable import Schedule, timetable

TIMETABLE = timetable("Europe/Berlin")
BY_NAME = {schedule.name: schedule for schedule in TIMETABLE}
moments = st.datetimes(datetime(2021, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_the_names_are_written_out_and_last() -> None:
    """They are part of the events' ids: a renamed schedule would announce its last due time again."""
    assert {"heartbeat", "health-check", "daily-report", "reminders", "cleaning"} == set(BY_NAME)
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


@pytest.mark.parametrize(
    ("due", "day", "since", "until"),
    [
        ("2028-03-01T06:00Z", "2028-02-29", "2028-02-28T23:00Z", "2028-02-29T23:00Z"),
        ("2028-03-27T05:00Z", "2028-03-26", "2028-03-25T23:00Z", "2028-03-26T22:00Z"),  # of 23 hours
        ("2028-10-30T06:00Z", "2028-10-29", "2028-10-28T22:00Z", "2028-10-29T23:00Z"),  # of 25
    ],
)
def test_the_report_is_due_in_the_morning_about_the_day_before_as_its_zone_has_it(
    due: str, day: str, since: str, until: str
) -> None:
    schedule, moment = BY_NAME["daily-report"], datetime.fromisoformat(due)
    assert moment == schedule.trigger.next_after(moment - timedelta(hours=1))
    assert DayEnded.model_validate({"day": day, "since": since, "until": until}) == schedule.announce(moment)


@given(moments, st.sampled_from(["UTC", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Kolkata"]))
def test_the_days_of_the_reports_touch(started: datetime, zone: str) -> None:
    """Whatever the clocks do at midnight."""
    (schedule,) = [each for each in timetable(zone) if each.name == "daily-report"]
    one, other = (schedule.announce(due) for due in islice(schedule.trigger.ascending(started), 2))
    assert isinstance(one, DayEnded)
    assert isinstance(other, DayEnded)
    assert (one.until, one.day + timedelta(days=1)) == (other.since, other.day)


@given(moments)
def test_the_windows_of_the_reminders_touch(started: datetime) -> None:
    """Each begins where the one before ended, so that nobody is left out."""
    schedule = BY_NAME["reminders"]
    first, second = islice(schedule.trigger.ascending(started), 2)
    one, other = (schedule.announce(due) for due in (first, second))
    assert isinstance(one, HourPassed)
    assert isinstance(other, HourPassed)
    assert (first, first, second) == (one.until, other.since, other.until)


@given(moments, st.integers(1, 300), st.integers(1, 300))
def test_windows_touch_where_the_period_is_changed_too(changed: datetime, before: int, after: int) -> None:
    """The scheduler goes on from the last due time of the old period, and windows begin at the due time before."""
    last = Every(every=60 * before).last_upto(changed)
    trigger = Every(every=60 * after)
    assert last is not None
    first = trigger.next_after(last)
    assert first is not None
    since = trigger.last_upto(first - timedelta(milliseconds=1))
    assert since is not None
    assert since <= last < first
