"""A database that keeps nothing: each of its transactions is done in full, looked at, and rolled back."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Delete, Insert, Update, event
from sqlmodel import Session

from infra.database import effects, inbox
from infra.database.engine import Database
from infra.database.writer import Refused

T = TypeVar("T")
Item = TypeVar("Item")
#: What every delivery writes: no rows of a handler's own.
_OURS = frozenset({"inbox", "effect", "outbox", "waiting", "resend", "dead_letter"})
_VERBS: dict[type, str] = {Insert: "insert", Update: "update", Delete: "delete"}


class _Undone(Exception):
    """Ends a transaction that went well."""


class Undoing(Database):
    """Looks like the database that it works on; in its transactions the chosen events have never come."""

    def __init__(self, database: Database) -> None:  # nothing of the parent's is used: all goes to the real one
        self._real = database
        self.engine = database.engine
        #: Event ids and consumers that are new in each transaction, whatever is known of them.
        self.keys: Sequence[tuple[str, str]] = ()
        #: Rows that handlers wrote of their own: `insert users` -> how many.
        self.rows: Counter[str] = Counter()
        #: Seconds that the longest transaction took, which on SQLite nobody else can write for.
        self.longest = 0.0

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Do what the block does, and undo it."""
        with suppress(_Undone), self._real.transaction() as session, self._timed(session):
            # In the order of the delivery's own writes, so that the two cannot lock one another out.
            effects.forget(session, self.keys)
            inbox.forget(session, self.keys)
            with self._watched(session):
                yield session
                session.flush()
            raise _Undone

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Read what is committed."""
        with self._real.reading() as session:
            yield session

    def run(self, work: Callable[[Session], T]) -> T:
        """Do this piece of work, and undo it."""
        with self.transaction() as session:
            return work(session)

    def join(self, together: Callable[[Session, Sequence[Item]], Sequence[T]], item: Item) -> T:
        """Do this one alone, and undo it."""
        (result,) = self.run(lambda session: together(session, [item]))
        if isinstance(result, Refused):
            raise result.error
        return result

    @contextmanager
    def _timed(self, session: Session) -> Iterator[None]:
        session.connection().exec_driver_sql("SELECT 1")  # SQLite's lock comes with the first statement
        started = time.monotonic()
        try:
            yield
        finally:
            self.longest = max(self.longest, time.monotonic() - started)

    @contextmanager
    def _watched(self, session: Session) -> Iterator[None]:
        connection = session.connection()
        event.listen(connection, "after_execute", self._count)
        try:
            yield
        finally:
            event.remove(connection, "after_execute", self._count)

    def _count(  # SQLAlchemy's own signature
        self,
        _connection: Connection,
        statement: Any,
        several: Sequence[Mapping[str, Any]],
        _parameters: Mapping[str, Any],
        _options: Mapping[str, Any],
        result: CursorResult[Any],
    ) -> None:
        verb = next((verb for kind, verb in _VERBS.items() if isinstance(statement, kind)), None)
        if verb is not None and statement.table.name not in _OURS:
            # Nobody counted where that costs something: an insert then has a row for each of its parameters.
            counted = result.rowcount if result.rowcount >= 0 else max(1, len(several))
            self.rows[f"{verb} {statement.table.name}"] += counted
