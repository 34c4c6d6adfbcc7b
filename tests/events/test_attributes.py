"""Ids and times: where in the order of all ids a moment lies."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from events.attributes import is_id, lowest_id
from events.clock import due_id

MILLISECOND = timedelta(milliseconds=1)
moments = st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # beside it


@given(moments, st.timedeltas(timedelta(), timedelta(days=400)))
def test_an_id_is_above_the_lowest_of_its_moment_and_below_that_of_a_later_one(
    moment: datetime, later: timedelta
) -> None:
    """So windows of time that touch are ranges of ids that touch."""
    assert is_id(lowest_id(moment))
    assert lowest_id(moment) < due_id("any", moment)
    if later >= MILLISECOND:
        assert due_id("any", moment) < lowest_id(moment + later)


def test_before_1970_there_are_no_ids() -> None:
    assert "00000000-0000-0000-0000-000000000000" == lowest_id(datetime(1900, 1, 1, tzinfo=UTC))
