"""Where rows of a person are: each table that may hold any, in slices, and what is to become of these rows."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    Table,
    Text,
    TypeDecorator,
    and_,
    cast,
    delete,
    false,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy import tuple_ as row
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlmodel import Session

#: What stands where something stood that named somebody.
ERASED = "erased"
#: Rows of a table that are looked through together, and rows of one person that one transaction changes.
WINDOW, SLICE = 2_000, 500
#: Where a walk begins: before the first row.
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, by what tells them apart in rows."""

    id: str
    #: Their address; somebody else may have it after them, so it says something about older rows only.
    address: str | None = None
    #: Until when it was theirs.
    until: datetime | None = None
    #: Ids of the events that carry the erasure itself, or a query for them, and the job that does it: left alone.
    spared: Sequence[str] | Select[Any] = ()
    job: str = ""
    #: The kind of jobs that erase: what these leave is a receipt, and stays.
    kind: str = ""
    #: They are looked for the last time: nothing is left to a later pass.
    is_last: bool = False


def kind_of(column: Any) -> type:
    """The Python type of a column's values."""
    kind = column.type
    python: type = (kind.impl_instance if isinstance(kind, TypeDecorator) else kind).python_type
    return python


class as_text(GenericFunction[str]):  # noqa: N801  # a function of SQL
    """Bytes as text, to look for plain characters in them."""

    type = Text()
    inherit_cache = True
    name = "as_text"


@compiles(as_text, "sqlite")
def _on_sqlite(element: as_text, compiler: Any, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS TEXT)"


@compiles(as_text, "postgresql")
def _on_postgresql(element: as_text, compiler: Any, **options: Any) -> str:
    return f"encode({compiler.process(element.clauses, **options)}, 'escape')"


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of some rows of one table."""

    table: Table
    which: ColumnElement[bool]
    #: Their new values; None: they go.
    values: Mapping[str, Any] | None = None

    def count(self, session: Session) -> int:
        """How many rows it is about."""
        found = session.connection().execute(select(func.count()).select_from(self.table).where(self.which))
        return int(found.scalar_one())

    def make(self, session: Session) -> int:
        """Do it; gives how many rows it was."""
        statement: Any = delete(self.table) if self.values is None else update(self.table).values(self.values)
        found: Any = session.connection().execute(statement.where(self.which))
        return int(found.rowcount)


_FIRST: Mapping[type, Any] = {int: -1, str: "", datetime: datetime(1, 1, 2, tzinfo=UTC)}
Which = Callable[[Person], ColumnElement[bool]]
#: Given the rows' condition: what becomes of them, and of what hangs on them; the rows themselves come last.
Changes = Callable[[ColumnElement[bool], datetime], list[Change]]


@dataclass(frozen=True, slots=True)
class Place:
    """A table, or a part of one, with rows of people in it."""

    table: Table
    key: Sequence[Column[Any]]
    #: Which rows are a person's.
    theirs: Which
    #: What becomes of them when they are erased.
    changes: Changes
    #: Set where an index leads to them: then only they are walked through.
    is_direct: bool = False
    #: Which of them somebody is still to have, so that they are left to the later pass.
    later: Which | None = None
    #: What is told of a row when it is exported.
    told: Sequence[str] = field(default=())

    @property
    def name(self) -> str:
        """Of the table."""
        return self.table.name

    def end(self, session: Session, person: Person, after: Key) -> Key | None:
        """Where the slice after this key ends; None when nothing comes any more."""
        ahead = [self._after(after), *([self.theirs(person)] if self.is_direct else [])]
        keys = select(*self.key).where(*ahead)
        most = SLICE if self.is_direct else WINDOW
        found = session.connection().execute(keys.order_by(*self.key).offset(most - 1).limit(1)).one_or_none()
        if found is None:
            last = keys.order_by(*(column.desc() for column in self.key)).limit(1)
            found = session.connection().execute(last).one_or_none()
        return None if found is None else tuple(found)

    def within(self, person: Person, after: Key, end: Key) -> ColumnElement[bool]:
        """The person's rows of a slice."""
        return and_(self._after(after), row(*self.key) <= _row(self.key, end), self.theirs(person))

    def now(self, session: Session, person: Person, which: ColumnElement[bool]) -> tuple[ColumnElement[bool], int]:
        """Those of some rows that are erased at once, and how many are left to the later pass."""
        if self.later is None or person.is_last:
            return which, 0
        later = self.later(person)
        return and_(which, ~later), Change(self.table, and_(which, later)).count(session)

    def count(self, session: Session, which: ColumnElement[bool], now: datetime) -> Counter[str]:
        """How many rows of which tables erasing these would be about."""
        *others, mine = self.changes(which, now)
        if not (rows := mine.count(session)):
            return Counter()
        return +sum((Counter({each.table.name: each.count(session)}) for each in others), Counter({self.name: rows}))

    def erase(self, session: Session, which: ColumnElement[bool], now: datetime) -> None:
        """Erase these rows, and what hangs on them."""
        for change in self.changes(which, now):
            change.make(session)

    def rows(self, which: ColumnElement[bool]) -> Select[Any]:
        """These rows, as they are exported."""
        return select(*(self.table.c[name] for name in self.told)).where(which).order_by(*self.key)

    def _after(self, after: Key) -> ColumnElement[bool]:
        ahead: ColumnElement[bool] = row(*self.key) > _row(self.key, after)
        return ahead

    @property
    def first(self) -> Key:
        """Before its first row."""
        return tuple(_FIRST[kind_of(column)] for column in self.key)

    def written(self, key: Key) -> list[Any]:
        """A key as JSON."""
        return [each.isoformat() if isinstance(each, datetime) else each for each in key]

    def read(self, key: Sequence[Any]) -> Key:
        """What `written` made of one."""
        pairs = zip(key, self.key, strict=True)
        return tuple(datetime.fromisoformat(each) if kind_of(column) is datetime else each for each, column in pairs)


def goes(of: Table) -> Changes:
    """The rows go."""

    def changes(which: ColumnElement[bool], _: datetime) -> list[Change]:
        return [Change(of, which)]

    return changes


def becomes(of: Table, **values: Any) -> Changes:
    """The rows stay, with these values."""

    def changes(which: ColumnElement[bool], _: datetime) -> list[Change]:
        return [Change(of, which, values)]

    return changes


def named(person: Person, *columns: Any, then: ColumnElement[bool] | None = None) -> ColumnElement[bool]:
    """Whether one of these columns names the person: by their id, or by their address alone in a JSON string.

    `then` says that a row was there when the address was theirs; without it the address is not looked for. An address
    within a longer text is not found: it might be the end of somebody else's.
    """
    texts = [func.as_text(each) if kind_of(each) is bytes else cast(each, Text) for each in columns]
    found = or_(*(each.contains(person.id, autoescape=True) for each in texts))
    if person.address is None or then is None:
        return found
    forms = {json.dumps(person.address, ensure_ascii=ascii_).lower() for ascii_ in (True, False)}
    quoted = [func.lower(each).contains(form, autoescape=True) for each in texts for form in sorted(forms)]
    return or_(found, and_(then, or_(*quoted)))


def before(person: Person, column: Column[Any]) -> ColumnElement[bool]:
    """Whether a row is of the time when the address was theirs."""
    return false() if person.until is None else column < person.until


def _row(key: Sequence[Column[Any]], values: Key) -> Any:
    return row(*(literal(value, column.type) for value, column in zip(values, key, strict=True)))
