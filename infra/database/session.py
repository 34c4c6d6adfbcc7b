"""The Session that everybody gets: SQLModel's own, beside a connection for Core without the unit of work."""

from typing import Any

from sqlalchemy import Connection
from sqlmodel import Session


class CoreSession(Session):
    """A Session in a transaction that belongs to its connection.

    `connection()` hands that connection out as it is. SQLAlchemy's own would first begin the Session's transaction,
    whose bookkeeping costs more than the statement; so whoever uses Core only never pays for it.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, expire_on_commit=False, join_transaction_mode="rollback_only")
        self._core = connection

    def connection(self, *_: Any, **__: Any) -> Connection:
        """The connection; its transaction begins with its first statement."""
        return self._core

    def settle(self) -> None:
        """Commit: first what the unit of work holds, if it was used, then all of it."""
        if self.in_transaction() or self.new or self.dirty or self.deleted:
            self.commit()
        if self._core.in_transaction():
            self._core.commit()
