"""Due times on the days on which the clocks of a zone are changed, by Debian's rules for cron."""

from bisect import bisect_left
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import accumulate, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.schedules.triggers import Cron, Daily
from tests.infra.schedules.test_dues import ODD, ODDER, lines, moments, names

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def due(trigger: Cron | Daily, day: str, days: int = 1) -> list[str]:
    """What is due on these local days: local times with their offsets."""
    zone = ZoneInfo(trigger.zone)
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    found = trigger.between(start - timedelta(seconds=1), start + days * DAY - timedelta(seconds=1))
    return [each.astimezone(zone).strftime("%d %H:%M%z") for each in found]


def cron(line: str, zone: str) -> Cron:
    return Cron(cron=line, zone=zone)


def daily(at: str, zone: str) -> Daily:
    return Daily(daily=at, zone=zone)


@pytest.mark.parametrize("make", [lambda: cron("30 2 * * *", "Europe/Berlin"), lambda: daily("02:30", "Europe/Berlin")])
def test_half_past_two_in_berlin_comes_once_on_each_day_of_the_year(make: Callable[[], Cron | Daily]) -> None:
    """Where it is left out it comes at 03:00, and where it is shown twice, the first time."""
    trigger = make()
    assert ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"] == due(trigger, "2026-03-28", 3)
    assert ["24 02:30+0200", "25 02:30+0200", "26 02:30+0100"] == due(trigger, "2026-10-24", 3)


def test_each_half_hour_stays_each_half_hour_of_elapsed_time() -> None:
    for day in ("2026-03-29", "2026-10-25"):
        start = datetime.fromisoformat(f"{day}T00:00Z")
        trigger = cron("*/30 * * * *", "Europe/Berlin")
        assert [start + n * timedelta(minutes=30) for n in range(1, 11)] == [
            *trigger.between(start, start + timedelta(hours=5))
        ]


def test_several_times_that_are_left_out_come_once() -> None:
    assert ["29 01:45+0100", "29 03:00+0200"] == due(cron("0,15,30,45 1-2 29 3 *", "Europe/Berlin"), "2026-03-29")[-2:]
    assert ["29 03:00+0200"] == due(cron("0,30 2,3 29 3 *", "Europe/Berlin"), "2026-03-29")[:1]


@pytest.mark.parametrize(
    ("expected", "trigger", "day"),
    [
        (["04 02:30+1100"], lambda: daily("02:00", "Australia/Lord_Howe"), "2026-10-04"),  # forward by half an hour
        (["05 01:45+1100"], lambda: daily("01:45", "Australia/Lord_Howe"), "2026-04-05"),  # back by half an hour
        (
            ["05 01:00+1100", "05 01:30+1100", "05 01:30+1030", "05 02:00+1030", "05 02:30+1030"],
            lambda: cron("*/30 1-2 * * *", "Australia/Lord_Howe"),
            "2026-04-05",
        ),
        (["29 01:00+0300"], lambda: daily("00:00", "Asia/Beirut"), "2026-03-29"),  # a day without a midnight
        (["06 01:00-0300"], lambda: daily("00:30", "America/Santiago"), "2026-09-06"),
        (["24 01:00+0300"], lambda: daily("00:00", "Africa/Cairo"), "2026-04-24"),
        (["25 01:30+0100"], lambda: daily("01:30", "Europe/Dublin"), "2026-10-25"),  # winter is what is not standard
        (["29 02:00+0100"], lambda: daily("01:30", "Europe/Dublin"), "2026-03-29"),
        (["15 02:30+0100"], lambda: daily("02:30", "Africa/Casablanca"), "2026-02-15"),  # Ramadan
        (["29 00:00-0100"], lambda: daily("23:30", "America/Nuuk"), "2026-03-28"),  # a day without its last hour
    ],
)
def test_the_odd_zones(expected: list[str], trigger: Callable[[], Cron | Daily], day: str) -> None:
    """Changes by half an hour and at midnight, winters that are the exception, a month of fasting, a day left out."""
    assert expected == due(trigger(), day)


@pytest.mark.parametrize("trigger", [daily("07:00", "Pacific/Apia"), cron("0 7 * * *", "Pacific/Apia")])
def test_a_day_that_a_zone_left_out_is_no_day(trigger: Daily | Cron) -> None:
    assert ["29 07:00-1000", "31 07:00+1400"] == due(trigger, "2011-12-29", 3)


def _expected(zone: str, line: str, start: datetime) -> set[datetime]:
    """The rules read plainly: what who looks at the clock each minute, for six days, would find."""
    minutes = [start + number * MINUTE for number in range(6 * 1440)]
    shown = [moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in minutes]
    walls = {*takewhile(lambda wall: wall <= max(shown), CronSim(line, min(shown) - MINUTE))}
    if any(field.startswith("*") for field in line.split()[:2]):
        return {moment for moment, wall in zip(minutes, shown, strict=True) if wall in walls}
    days = {wall.date() for wall in shown}
    latest = [*accumulate(shown, max)]
    return {minutes[bisect_left(latest, wall)] for wall in walls if wall.date() in days}


@settings(deadline=None, max_examples=50)
@given(st.data(), lines)
def test_a_cron_is_due_when_who_looks_at_the_clock_each_minute_says_so(data: st.DataObject, line: str) -> None:
    zone = data.draw(st.sampled_from(["Europe/Berlin", *ODD, *ODDER]) | names)
    start = data.draw(moments(zone))
    expected = _expected(zone, line, start.replace(second=0, microsecond=0) - 2 * DAY)
    upto = start + 3 * DAY
    assert sorted(each for each in expected if start < each <= upto) == [
        *Cron(cron=line, zone=zone).between(start, upto)
    ]
