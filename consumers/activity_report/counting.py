"""Counts events by day and type, one day after the other: ranges of an index, and nothing in memory but the numbers."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Self

from sqlalchemy import Select, bindparam, func, select
from sqlmodel import Session

from consumers.activity_report.asking import Day, Days
from infra.database.engine import Database
from infra.database.tables import Activity, table

_A = table(Activity)


def _query() -> Select[Any]:
    """Each type that there is, and how many of a span; no index is read but that of types and times.

    The types come from a hop to the next greater one, again and again: twenty look-ups and no scan.
    """
    found = select(func.min(_A.c.type).label("type")).cte("found", recursive=True)
    next_one = select(func.min(_A.c.type)).where(_A.c.type > found.c.type).scalar_subquery()
    found = found.union_all(select(next_one).where(found.c.type.is_not(None)))
    counted = (
        select(func.count())
        .select_from(_A)
        .where(_A.c.type == found.c.type, _A.c.time >= bindparam("since"), _A.c.time < bindparam("until"))
        .correlate(found)
        .scalar_subquery()
    )
    return select(found.c.type, counted).where(found.c.type.is_not(None))


_EVERY = _query()
_SOME = (
    select(_A.c.type, func.count())
    .where(
        _A.c.type.in_(bindparam("types", expanding=True)),
        _A.c.time >= bindparam("since"),
        _A.c.time < bindparam("until"),
    )
    .group_by(_A.c.type)
)


@dataclass
class Counts:
    """How many events of each type each day had; the days that are counted come first."""

    #: Whose days they are, and the moment that nothing was counted from: what happens meanwhile is no part of it.
    days: Days
    as_of: datetime
    #: In the order in which they were met.
    types: list[str] = field(default_factory=list)
    #: One for each day, in the order of `types`; what is not there is none.
    rows: list[list[int]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For a checkpoint; ten years of twenty types are some hundred thousand characters."""
        days = {"since": self.days.since.isoformat(), "until": self.days.until.isoformat(), "zone": self.days.zone}
        return {**days, "as_of": self.as_of.isoformat(), "types": self.types, "rows": self.rows}

    @classmethod
    def resumed(cls, state: Any) -> Self:
        """Those of a checkpoint; its days, too, for meanwhile the installation may have been given another zone."""
        days = Days(date.fromisoformat(state["since"]), date.fromisoformat(state["until"]), state["zone"])
        return cls(days, datetime.fromisoformat(state["as_of"]), list(state["types"]), list(state["rows"]))

    def add(self, found: Collection[tuple[str, int]]) -> None:
        """One more day."""
        numbers = dict(found)
        self.types += [name for name in sorted(numbers) if name not in self.types]
        self.rows.append([numbers.get(name, 0) for name in self.types])


def count(database: Database, counts: Counts, types: Sequence[str] | None) -> Iterator[Day]:
    """Count the days that are missing; gives each day that is through."""
    for number, day in enumerate(counts.days):
        if number < len(counts.rows):
            continue
        until = min(day.ends, counts.as_of)
        with database.reading() as session:
            counts.add(_of(session, day.begins, until, types) if day.begins < until else [])
        yield day


def _of(session: Session, since: datetime, until: datetime, types: Sequence[str] | None) -> list[tuple[str, int]]:
    span = {"since": since, "until": until}
    asked = (_EVERY, span) if types is None else (_SOME, {**span, "types": list(types)})
    return [(name, number) for name, number in session.connection().execute(*asked) if number]
