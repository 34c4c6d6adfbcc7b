"""The Session that everybody gets: SQLModel's own, beside a connection for Core without the unit of work."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Insert, event
from sqlalchemy.orm import ORMExecuteState, SessionTransaction
from sqlmodel import Session


class CoreSession(Session):
    """A Session in a transaction that belongs to its connection.

    `connection()` hands that connection out as it is. SQLAlchemy's own would first begin the Session's transaction,
    whose bookkeeping costs more than the statement; so whoever uses Core only never pays for it.
    """

    def __init__(self, connection: Connection, *, gathers: bool = False) -> None:
        super().__init__(connection, expire_on_commit=False, join_transaction_mode="rollback_only")
        self._core = connection
        self._gathers = gathers
        self._gathered: dict[Insert, list[Mapping[str, Any]]] = {}
        #: What was read, as long as no statement but inserts of what is gathered has come after it.
        self.known: dict[str, Any] = {}

    def connection(self, *_: Any, **__: Any) -> Connection:
        """The connection; its transaction begins with its first statement, and what was gathered comes before that."""
        self.known.clear()
        if self._gathered:
            self._write_gathered()
        return self._core

    def add_rows(self, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows that nobody asks for in the same breath.

        Where many share the transaction, those of all of them go in one statement, before any other one or the commit.
        """
        if self._gathers:
            self._gathered.setdefault(statement, []).extend(rows)
        else:
            self._core.execute(statement, rows[0] if len(rows) == 1 else rows)  # a list costs more messages

    def forget_gathered(self) -> None:
        """Leave out what was gathered, and is to be undone."""
        self._gathered.clear()

    def begin_nested(self) -> SessionTransaction:
        """A savepoint, for the connection's own statements too: SQLAlchemy would make it at the Session's next use."""
        self.connection()
        self._gathers = False  # what is added in it is undone with it
        nested = super().begin_nested()
        super().connection()
        return nested

    def commit(self) -> None:
        """Refuse: whoever hands the session out commits it, together with what else belongs to the transaction.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("This transaction is committed for you; for a part of it, use session.begin_nested().")

    def rollback(self) -> None:
        """Refuse, for the same reason: raise an error to undo everything.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("To undo all of it raise an error; to undo a part, use session.begin_nested().")

    def settle(self) -> None:
        """Commit: first what the unit of work holds, if it was used, then all of it."""
        if self._gathered:
            self._write_gathered()
        if self.in_transaction() or self.new or self.dirty or self.deleted:
            super().commit()
        if self._core.in_transaction():
            self._refuse_a_failed_transaction()
            self._core.commit()

    def _write_gathered(self) -> None:
        gathered, self._gathered = self._gathered, {}
        for statement, rows in gathered.items():
            self._core.execute(statement, rows[0] if len(rows) == 1 else rows)

    def _refuse_a_failed_transaction(self) -> None:
        """PostgreSQL answers COMMIT after a failed statement with a rollback, and psycopg says nothing of it."""
        info = getattr(self._core.connection.dbapi_connection, "info", None)
        if info is not None and info.transaction_status == TransactionStatus.INERROR:
            raise RuntimeError("A statement failed and its error was swallowed: try it in session.begin_nested().")


def add_rows(session: Session, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that nobody asks for in the same breath: see `CoreSession.add_rows`."""
    if not rows:
        return
    if not isinstance(session, CoreSession):
        raise TypeError("This is a session of somebody else's making: take one from `Database`.")
    session.add_rows(statement, rows)


def known(session: Session) -> dict[str, Any]:
    """What this transaction may remember of what it read: see `CoreSession.known`."""
    return session.known if isinstance(session, CoreSession) else {}


@event.listens_for(CoreSession, "do_orm_execute")
def _write_before(asked: ORMExecuteState) -> None:
    """Who asks through the Session sees what was gathered, too."""
    asked.session.connection()
