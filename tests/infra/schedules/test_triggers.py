"""Triggers as people write them: what they say in words, and what is refused, by the name of its field."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from infra import zones
from infra.schedules.triggers import EPOCH, Cron, Daily, Every, Trigger, read

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expected", "data"),
    [
        ("every second", {"every": 1}),
        ("every 10 seconds", {"every": "10s"}),
        ("every 1.5 seconds", {"every": 1.5}),
        ("every 90 minutes", {"every": "1.5h"}),
        ("every day", {"every": 86_400}),
        ("at 02:30 on Monday through Friday, Europe/Berlin", {"cron": "30 2 * * MON-FRI", "zone": "Europe/Berlin"}),
        ("every fifth minute of every hour, UTC", {"cron": "*/5 * * * *"}),
        ("at 07:00, Europe/Berlin", {"daily": "07:00", "zone": "Europe/Berlin"}),
        ("at 07:00 on Monday, UTC", {"daily": "07:00", "on": ["mon"]}),
        ("at 07:00 on Monday, Wednesday and Sunday, UTC", {"daily": "07:00", "on": ["sun", "wed", "mon", "wed"]}),
    ],
)
def test_a_trigger_says_in_words_when_it_is_due(expected: str, data: dict[str, Any]) -> None:
    assert expected == read(data).words


ANY = "a trigger is one of"
NO_INTERVAL = "use a number of seconds"
NO_CRON = "this cron cannot be read"


@pytest.mark.parametrize(
    ("field", "message", "data"),
    [
        ("", ANY, None),
        ("", ANY, [{"every": "1s"}]),
        ("", ANY, {}),
        ("", ANY, {"zone": "UTC"}),
        ("", ANY, {"every": "10s", "daily": "07:00"}),
        ("every", "a fire more often than each second is refused", {"every": 0.999}),
        ("every", "a fire more often than each second is refused", {"every": "0s"}),
        ("every", "an interval is at most 366 days", {"every": 10**4000}),
        ("every", "an interval is at most 366 days", {"every": "999999999d"}),
        ("every", NO_INTERVAL, {"every": float("nan")}),
        ("every", NO_INTERVAL, {"every": True}),
        ("every", NO_INTERVAL, {"every": "10 s"}),
        ("every", NO_INTERVAL, {"every": "\u0661s"}),
        ("zone", "Extra inputs", {"every": "10s", "zone": "UTC"}),
        ("cron", NO_CRON, {"cron": "* * * *"}),
        ("cron", NO_CRON, {"cron": "*/0 * * * *"}),
        ("cron", NO_CRON, {"cron": "5-1 * * * *"}),
        ("cron", NO_CRON, {"cron": "* 24 * * *"}),
        ("cron", NO_CRON, {"cron": f"{'9' * 100} * * * *"}),
        ("cron", "at most 120", {"cron": f"{'9' * 5000} * * * *"}),
        ("cron", "a line of cron is", {"cron": "\u0663 * * * *"}),
        ("cron", "a line of cron is", {"cron": "@daily"}),
        ("cron", "a line of cron is", {"cron": ""}),
        ("cron", "valid string", {"cron": 5}),
        ("cron", NO_CRON, {"cron": "0 0 30 2 *"}),
        ("cron", "no day is ever like this", {"cron": "* * */16 * MON#5"}),
        ("zone", "no such time zone", {"cron": "* * * * *", "zone": "Europe/Berlinn"}),
        ("zone", "this zone is spelled Europe/Berlin", {"daily": "07:00", "zone": "europe/berlin"}),
        ("zone", "no such time zone", {"daily": "07:00", "zone": "../../etc/passwd"}),
        ("zone", "no such time zone", {"daily": "07:00", "zone": "/usr/share/zoneinfo/Europe/Berlin"}),
        ("zone", "no such time zone", {"daily": "07:00", "zone": "localtime"}),
        ("zone", "no such time zone", {"daily": "07:00", "zone": "Europe/Berlin\0"}),
        ("zone", "at most 64", {"daily": "07:00", "zone": "x" * 100_000}),
        ("daily", "should match", {"daily": "7:00"}),
        ("daily", "should match", {"daily": "24:00"}),
        ("daily", "should match", {"daily": "07:00\n"}),
        ("on", "at least 1", {"daily": "07:00", "on": []}),
        ("on", "at most 7", {"daily": "07:00", "on": ["mon"] * 8}),
        ("on", "'mon'", {"daily": "07:00", "on": ["monday"]}),
    ],
)
def test_what_is_wrong_with_a_trigger_is_said_by_its_field(field: str, message: str, data: object) -> None:
    with pytest.raises(ValidationError) as refused:
        read(data)
    first = refused.value.errors()[0]
    assert ["trigger", field] == [*first["loc"], ""][:2]
    assert message in first["msg"]


def test_a_body_that_has_a_trigger_names_what_is_wrong_in_the_same_way() -> None:
    class Body(BaseModel):
        trigger: Trigger

    with pytest.raises(ValidationError) as refused:
        Body.model_validate_json('{"trigger": {"cron": "* * * * *", "zone": "Nowhere"}}')
    assert [("trigger", "zone")] == [error["loc"] for error in refused.value.errors()]
    body = Body.model_validate_json('{"trigger": {"daily": "07:00"}}')
    assert {"trigger": {"daily": "07:00", "zone": "UTC"}} == body.model_dump(mode="json")
    assert {"Every", "Cron", "Daily"} == TypeAdapter(Body).json_schema()["$defs"].keys()


_characters = "0123456789*/,-#LWMON:.smhd+e \0\n\u0663\u00b2\u00df\U0001f553"
_text = st.text(alphabet=_characters, max_size=130)
_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text,
    lambda inner: st.lists(inner, max_size=3),
)


def _made(data: dict[str, Any]) -> Every | Cron | Daily | None:
    with suppress(ValidationError):
        return read(data)
    return None


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["every", "cron", "daily", "zone", "on"]), _anything, max_size=3))
def test_whatever_is_given_is_a_trigger_or_is_refused(data: dict[str, Any]) -> None:
    if trigger := _made(data):
        assert trigger.words
        assert trigger.next_after(NOON)


@settings(deadline=None)
@given(st.tuples(*[st.text(alphabet="0123456789*/,-#LW", min_size=1, max_size=6)] * 5))
def test_a_line_that_looks_like_cron_can_be_computed_with_or_is_refused(fields: tuple[str, ...]) -> None:
    if trigger := _made({"cron": " ".join(fields)}):
        assert trigger.words
        assert trigger.last_upto(NOON)


def test_intervals_are_counted_from_one_moment_for_all_times() -> None:
    """A replica that starts at another time has the same due times; so has each release."""
    assert datetime(2020, 1, 1, tzinfo=UTC) == EPOCH
    assert NOON + timedelta(seconds=5) == Every(every="7s").next_after(NOON)


def test_a_day_of_seconds_is_counted_at_once() -> None:
    every = Every(every=1)
    assert 86_400 * 10_000 == every.count(NOON - timedelta(days=10_000), NOON)
    assert [NOON - timedelta(seconds=1), NOON] == every.newest(EPOCH, NOON, 2)


def test_without_files_of_zones_there_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones, "names", lambda: {"utc": "UTC"})
    assert NOON.replace(day=27, hour=7) == Daily(daily="07:00").next_after(NOON)
    with pytest.raises(ValidationError, match="install tzdata"):
        Daily(daily="07:00", zone="Europe/Berlin")
