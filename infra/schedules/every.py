"""An interval: due times that are as far from one another as it says, counted from a fixed moment."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from infra.schedules.dues import Dues

#: Where all intervals are counted from, so that every replica has the same due times.
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_UNITS = {"d": ("day", 86_400), "h": ("hour", 3600), "m": ("minute", 60), "s": ("second", 1)}
_TEXT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd])", re.ASCII)
_MILLISECOND = timedelta(milliseconds=1)
_SHORTEST = timedelta(seconds=1)
#: Of what is rarer, calendars know more.
_LONGEST_DAYS = 366


def _read(given: object) -> timedelta:
    interval = given if isinstance(given, timedelta) else timedelta(milliseconds=round(_seconds(given) * 1000))
    if interval < _SHORTEST:
        raise PydanticCustomError("too_often", "a fire more often than each second is refused")
    if interval > timedelta(days=_LONGEST_DAYS):
        raise PydanticCustomError("too_rare", "an interval is at most {days} days", {"days": _LONGEST_DAYS})
    if interval % _MILLISECOND:
        raise PydanticCustomError("too_fine", "an interval is a whole number of milliseconds")
    return interval


def _seconds(given: object) -> float:
    if isinstance(given, str) and (text := _TEXT.fullmatch(given)):
        return float(text[1]) * _UNITS[text[2]][1]
    if isinstance(given, int | float) and not isinstance(given, bool) and given >= 0:
        return min(given, 1e9)  # whatever it is, it can be computed with now
    raise PydanticCustomError("interval", "use a number of seconds, or a text such as 10s, 5m, 2h or 1d")


def _parts(interval: timedelta) -> tuple[float, str]:
    seconds = interval.total_seconds()
    unit = next((unit for unit, (_, length) in _UNITS.items() if seconds % length == 0), "s")
    number = seconds / _UNITS[unit][1]
    return int(number) if number.is_integer() else number, unit


def _write(interval: timedelta) -> str:
    number, unit = _parts(interval)
    return f"{number}{unit}"


_SCHEMA = {"anyOf": [{"type": "string", "pattern": f"^{_TEXT.pattern}$"}, {"type": "number", "minimum": 1}]}
Interval = Annotated[timedelta, BeforeValidator(_read), PlainSerializer(_write), WithJsonSchema(_SCHEMA)]


class Every(Dues):
    """`{"every": "10s"}`: each so many seconds, minutes, hours or days of elapsed time, counted from 2020 (UTC)."""

    every: Interval

    @property
    def words(self) -> str:
        """`every 10 seconds`."""
        number, unit = _parts(self.every)
        name = _UNITS[unit][0]
        return f"every {name}" if number == 1 else f"every {number} {name}s"

    def ascending(self, after: datetime) -> Iterator[datetime]:
        """All due times after a moment, the next one first; lazy."""
        return self._from(self._number(after) + 1, 1)

    def descending(self, upto: datetime) -> Iterator[datetime]:
        """All due times at or before a moment, the latest first; lazy."""
        return self._from(self._number(upto), -1)

    def count(self, after: datetime, upto: datetime) -> int:
        """How many due times are in (after, upto], without looking at them."""
        return max(self._number(upto) - self._number(after), 0)

    def period_at(self, moment: datetime) -> timedelta:  # noqa: ARG002  # the same at every moment
        """The interval."""
        return self.every

    def _number(self, moment: datetime) -> int:
        """Number of the last due time at or before a moment; the one at EPOCH is 0."""
        return (moment - EPOCH) // self.every

    def _from(self, number: int, step: int) -> Iterator[datetime]:
        try:
            while True:
                yield EPOCH + number * self.every
                number += step
        except OverflowError:  # the end of the calendar, or its beginning
            return
