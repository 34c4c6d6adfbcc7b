"""The figures of a report: what was counted, in order, and put together where there are too many days to be seen."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any

from consumers.activity_report.asking import Day, Days
from consumers.activity_report.counting import Counts

#: Bars of a chart: more cannot be told apart.
_BARS = 100
#: Types with a colour of their own; the others share one.
COLOURS = 8
OTHERS = "all others"


@dataclass(frozen=True, slots=True)
class Period:
    """Some days that are shown as one: a day, a week from Monday on, a month."""

    first: date
    last: date
    #: By type, in the order of the figures' types.
    events: list[int]
    #: Whether it was over when it was counted.
    is_complete: bool

    @property
    def total(self) -> int:
        """Events of all types."""
        return sum(self.events)

    @property
    def name(self) -> str:
        """As people write it."""
        first, last = (f"{each.day} {each:%b %Y}" for each in (self.first, self.last))
        return first if first == last else f"{first} to {last}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a report says."""

    days: Days
    as_of: datetime
    #: Those with the most events first.
    types: list[str]
    #: One for each day.
    rows: list[Period]

    @property
    def span(self) -> Period:
        """All its days as one."""
        return _joined(self.rows)

    @property
    def totals(self) -> list[int]:
        """Events of each type."""
        return [sum(column) for column in zip(*(row.events for row in self.rows), strict=True)]

    @property
    def total(self) -> int:
        """Events in all."""
        return sum(row.total for row in self.rows)

    @property
    def unit(self) -> str:
        """What one bar of a chart stands for."""
        return "day" if len(self.rows) <= _BARS else "week" if len(self.rows) <= 7 * _BARS else "month"

    def periods(self) -> list[Period]:
        """As the charts show them."""
        return [_joined(list(some)) for _, some in groupby(self.rows, key=_KEYS[self.unit])]

    def shown(self) -> list[tuple[str, list[int]]]:
        """The columns of the charts: those types that have a colour, and the rest together; numbers of each period."""
        periods = self.periods()
        own = len(self.types) if len(self.types) <= COLOURS + 1 else COLOURS
        columns = [(name, [each.events[at] for each in periods]) for at, name in enumerate(self.types[:own])]
        if own < len(self.types):
            columns.append((OTHERS, [sum(each.events[own:]) for each in periods]))
        return columns

    def as_json(self) -> dict[str, Any]:
        """The whole report."""
        return {
            "since": self.days.since.isoformat(),
            "until": self.days.until.isoformat(),
            "zone": self.days.zone,
            "as_of": self.as_of.isoformat(),
            "total": self.total,
            "types": dict(zip(self.types, self.totals, strict=True)),
            "days": list(self._days()),
        }

    def _days(self) -> Iterator[dict[str, Any]]:
        for day, row in zip(self.days, self.rows, strict=True):
            events = {name: number for name, number in zip(self.types, row.events, strict=True) if number}
            yield {
                "day": day.date.isoformat(),
                "begins_at": day.begins.isoformat(),
                "ends_at": day.ends.isoformat(),
                "is_complete": row.is_complete,
                "total": row.total,
                "events": events,
            }


def figures_of(counts: Counts, asked: list[str] | None) -> Figures:
    """Put in order what was counted; a type that was asked for is there even if there was none."""
    totals = dict.fromkeys([*(asked or ()), *counts.types], 0)
    for row in counts.rows:
        for name, number in zip(counts.types, row, strict=False):  # a day before a type was met has no column of it
            totals[name] += number
    types = sorted(totals, key=lambda name: (-totals[name], name))
    places = {name: at for at, name in enumerate(counts.types)}
    order = [places.get(name) for name in types]
    rows = [_day(day, row, order, counts.as_of) for day, row in zip(counts.days, counts.rows, strict=True)]
    return Figures(counts.days, counts.as_of, types, rows)


def _day(day: Day, row: list[int], order: list[int | None], as_of: datetime) -> Period:
    events = [row[at] if at is not None and at < len(row) else 0 for at in order]
    return Period(day.date, day.date, events, day.ends <= as_of)


def _joined(some: list[Period]) -> Period:
    events = [sum(column) for column in zip(*(each.events for each in some), strict=True)]
    return Period(some[0].first, some[-1].last, events, all(each.is_complete for each in some))


_KEYS = {
    "day": lambda row: row.first,
    "week": lambda row: row.first.isocalendar()[:2],
    "month": lambda row: (row.first.year, row.first.month),
}
