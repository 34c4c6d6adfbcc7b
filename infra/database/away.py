"""Telling an error that lies in the moment (database away, locked, full) from one that lies in the statement."""

import sqlite3

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from infra.errors import DatabaseUnavailable

#: SQLite's primary result codes (sqlite.org/rescode.html) that say that the file is out of reach for now.
_SQLITE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
    }
)
#: PostgreSQL's error classes (Appendix A of its manual): connection, rollback by deadlock or serialisation, resources,
#: the server's operator, system; and a lock that did not come in time. Not 57014, which is a statement that took too
#: long: that is the handler's own doing …
_POSTGRESQL = ("08", "40", "53", "55P03", "57P", "58")
#: … as is a transaction in which nothing was done for too long, though the server ends the connection over it.
_IDLE = "25P03"

#: What SQLAlchemy, or our own connection below it, raises when a statement or a commit fails.
DatabaseError = (DBAPIError, PoolTimeout, sqlite3.Error)


def named(error: Exception) -> Exception:
    """DatabaseUnavailable in place of an error of the driver's that lies in the moment; any other as it is."""
    if _in_the_moment(error):
        cause = getattr(error, "orig", None) or error
        away = DatabaseUnavailable(f"The database is away: {type(cause).__name__}: {_first_line(cause)}")
        away.__cause__ = error
        return away
    return error


def _in_the_moment(error: Exception) -> bool:
    if isinstance(error, DBAPIError):
        lost = error.connection_invalidated and getattr(error.orig, "sqlstate", None) != _IDLE
        return lost or _passing(error.orig)
    return isinstance(error, PoolTimeout) or _passing(error)


def _passing(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)  # errors that this package makes itself carry none
        return isinstance(cause, sqlite3.OperationalError) if code is None else code & 0xFF in _SQLITE
    state = getattr(cause, "sqlstate", None)
    if state is None:  # psycopg has no state when there was no server to give one
        return type(cause).__name__ in {"OperationalError", "ConnectionTimeout"}
    return str(state).startswith(_POSTGRESQL)


def _first_line(cause: BaseException) -> str:
    return str(cause).strip().partition("\n")[0]
