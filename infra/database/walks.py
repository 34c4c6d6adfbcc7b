"""Walks: through a table along an index from its oldest rows on, slice by slice, removing what may go of each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Column, ColumnElement, Delete, Table, Update, bindparam, delete, func, select
from sqlalchemy import tuple_ as row
from sqlmodel import Session

#: What the statements are given beside the slice's ends.
Values = Mapping[str, Any]
#: A place in a walk: what its key's columns have there; parameters `after`, `after_1` …, or `end`, `end_1` ….
Place = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows that follow one another in the walk's index."""

    after: Place
    end: Place
    #: How many of them may go.
    count: int


class Walk:
    """A way through one table; each of its statements reads one short range of one index."""

    def __init__(
        self,
        source: Table,
        *key: Column[Any],
        within: Sequence[ColumnElement[bool]] = (),
        may_go: Sequence[ColumnElement[bool]] = (),
        along: Sequence[Delete | Update] = (),
    ) -> None:
        """Remember; `within` bounds the walk, `along` is done with each slice after its rows are removed.

        The key's columns must tell rows apart, or nearly so: a slice never ends between two with the same key.
        """
        self.table = source.name
        ahead = (row(*key) > row(*_parameters("after", key)), *within)
        chosen = (*ahead, row(*key) <= row(*_parameters("end", key)), *may_go)
        self._end = select(*key).where(*ahead).order_by(*key).offset(bindparam("skip")).limit(1)
        self._last = select(*key).where(*ahead).order_by(*(column.desc() for column in key)).limit(1)
        self._count = select(func.count()).select_from(source).where(*chosen)
        self._remove = delete(source).where(*chosen)
        self._along = along

    def look(self, session: Session, after: Place, most: int, values: Values) -> Slice | None:
        """The slice of so many rows that comes after this place; None when nothing does."""
        connection, query = session.connection(), {**values, **_named("after", after)}
        found = connection.execute(self._end, {**query, "skip": most - 1}).one_or_none()
        found = found or connection.execute(self._last, query).one_or_none()
        if found is None:
            return None
        count = connection.execute(self._count, {**query, **_named("end", found)}).scalar_one()
        return Slice(after, tuple(found), int(count))

    def remove(self, session: Session, found: Slice, values: Values) -> Counter[str]:
        """Remove what may go of a slice, which is looked at again; gives how many rows of which table."""
        query = {**values, **_named("after", found.after), **_named("end", found.end)}
        removed = Counter({self.table: session.connection().execute(self._remove, query).rowcount})
        for statement in self._along:
            rows = session.connection().execute(statement, query).rowcount
            if isinstance(statement, Delete):
                removed[str(statement.table)] += rows
        return removed


def _parameters(name: str, key: Sequence[Column[Any]]) -> list[BindParameter[Any]]:
    return [bindparam(_numbered(name, number), type_=column.type) for number, column in enumerate(key)]


def _named(name: str, place: Sequence[Any]) -> dict[str, Any]:
    return {_numbered(name, number): value for number, value in enumerate(place)}


def _numbered(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name
