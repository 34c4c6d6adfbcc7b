"""Walks: through a table along an index from its oldest rows on, slice by slice, removing what may go of each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Delete, Table, Update, bindparam, delete, func, select
from sqlmodel import Session

#: What the statements are given beside the slice's ends.
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows that follow one another in the walk's index."""

    after: Any
    end: Any
    #: How many of them may go.
    count: int


class Walk:
    """A way through one table; each of its statements reads one short range of one index."""

    def __init__(
        self,
        source: Table,
        key: Column[Any],
        *,
        within: Sequence[ColumnElement[bool]] = (),
        may_go: Sequence[ColumnElement[bool]],
        along: Sequence[Delete | Update] = (),
    ) -> None:
        """Remember; `within` bounds the walk, `along` is done with each slice after its rows are removed."""
        after, end = bindparam("after", type_=key.type), bindparam("end", type_=key.type)
        ahead, chosen = (key > after, *within), (key > after, key <= end, *within, *may_go)
        self.table = source.name
        self._end = select(key).where(*ahead).order_by(key).offset(bindparam("skip")).limit(1)
        self._last = select(func.max(key)).where(*ahead)
        self._count = select(func.count()).select_from(source).where(*chosen)
        self._remove = delete(source).where(*(chosen if key.primary_key else _some(source, key, chosen)))
        self._along = along

    def look(self, session: Session, after: Any, most: int, values: Values) -> Slice | None:
        """The slice of so many rows that comes after this key; None when nothing does."""
        connection, query = session.connection(), {**values, "after": after}
        end = connection.execute(self._end, {**query, "skip": most - 1}).scalar()
        if end is None:
            end = connection.execute(self._last, query).scalar()
        if end is None:
            return None
        return Slice(after, end, int(connection.execute(self._count, {**query, "end": end}).scalar_one()))

    def remove(self, session: Session, found: Slice, most: int, values: Values) -> Counter[str]:
        """Remove what may go of a slice, which is looked at again; gives how many rows of which table.

        There may be more to remove when it was `most` of the walk's own.
        """
        query = {**values, "after": found.after, "end": found.end, "most": most}
        removed = Counter({self.table: session.connection().execute(self._remove, query).rowcount})
        for statement in self._along:
            rows = session.connection().execute(statement, query).rowcount
            if isinstance(statement, Delete):
                removed[str(statement.table)] += rows
        return removed


def _some(source: Table, key: Column[Any], chosen: Sequence[ColumnElement[bool]]) -> Sequence[ColumnElement[bool]]:
    """Many rows may have the same key where that is a time: a slice has all of them, a transaction only some."""
    (name,) = source.primary_key
    return [name.in_(select(name).where(*chosen).order_by(key).limit(bindparam("most")))]
