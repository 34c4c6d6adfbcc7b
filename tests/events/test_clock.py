"""Timed events: their fields, and the ids on which all replicas agree."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from events.attributes import is_id
from events.clock import DayEnded, HeartbeatTicked, due_id

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

schedules = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
dues = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # the zone is beside it


def test_id_is_written_out() -> None:
    """A changed formula would fire a due time twice while old and new replicas run side by side."""
    assert due_id("heartbeat", datetime(2026, 11, 22, 9, 30, tzinfo=UTC)) == "01a20297-4dc0-773e-b690-f89538100a83"


@given(schedules, dues)
def test_id_is_a_uuid7_of_the_due_time(schedule: str, due: datetime) -> None:
    """RFC 9562, section 5.7: version 7, variant 10, and the due time's milliseconds in the first 48 bits."""
    text = due_id(schedule, due)
    assert is_id(text)
    assert (UUID(text).version, UUID(text).variant) == (7, UUID(int=2 << 62).variant)
    assert UUID(text).int >> 80 == (due - EPOCH) // timedelta(milliseconds=1)


@given(schedules, dues.filter(lambda due: 1970 < due.year < 9999), st.integers(-23, 23))
def test_replicas_agree(schedule: str, due: datetime, hours: int) -> None:
    """The same moment in another zone's words has the same id."""
    assert due_id(schedule, due.astimezone(timezone(timedelta(hours=hours)))) == due_id(schedule, due)


@given(schedules, schedules, dues, dues)
def test_ids_differ_and_sort_by_due_time(one: str, other: str, early: datetime, late: datetime) -> None:
    """Another schedule or another moment is another id; among them the earlier millisecond comes first."""
    assume((one, early) != (other, late))
    assert due_id(one, early) != due_id(other, late)
    if late - early >= timedelta(milliseconds=1):
        assert due_id(one, early) < due_id(other, late)


@given(schedules, dues)
def test_microseconds_count(schedule: str, due: datetime) -> None:
    """Two due times within one millisecond are two ids."""
    assert due_id(schedule, due.replace(microsecond=1)) != due_id(schedule, due.replace(microsecond=2))


@pytest.mark.parametrize("due", [datetime(2026, 1, 1), EPOCH - timedelta(microseconds=1)])  # noqa: DTZ001  # the mistake
def test_due_time_must_have_a_zone_and_be_after_1970(due: datetime) -> None:
    """Anything else is a ValueError."""
    with pytest.raises(ValueError, match="zone"):
        due_id("heartbeat", due)


def test_heartbeat_needs_a_zone() -> None:
    """A due time without a zone would mean another moment on another machine."""
    with pytest.raises(ValidationError):
        HeartbeatTicked(due_at=datetime(2026, 1, 1))  # noqa: DTZ001  # the very mistake


@pytest.mark.parametrize("day", ["2026-02-30", "yesterday", None, "2026-11-22T09:30:00Z"])
def test_day_is_a_calendar_date(day: Any) -> None:
    """Neither a moment nor a word."""
    with pytest.raises(ValidationError):
        DayEnded(day=day)
