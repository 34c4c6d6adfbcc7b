"""SQLite as Tidings uses it: WAL, every commit on disk, one shared writer, readers that never wait for it."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from infra.database.datagrams import DatagramBell
from infra.database.file_lock import Turnstile
from infra.database.group_commit import Member, SharedWriter
from infra.errors import ConfigurationError

#: Seconds that SQLite waits for a lock held by a program that does not take ours (the sqlite3 shell, say).
_BUSY = 5.0


class Opened:
    """A database file that is open: its engines, and its bell.

    Raises:
        ConfigurationError: the database would be lost with the process, or its file cannot be opened.
    """

    def __init__(self, file: str | None) -> None:
        if not file or file == ":memory:":
            raise ConfigurationError("TIDINGS_DATABASE_URL: SQLite needs a file, as in sqlite:////var/lib/tidings.db.")
        path = Path(file).absolute()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _keep_private(path)
            self._writer = _writer(path)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"The database file {path} cannot be opened: {error}.") from None
        self.writing = _writing(self._writer)
        self.reading = _reading(path)
        self.bell = DatagramBell(path)

    def close(self) -> None:
        """Close what the engines shared."""
        self._writer.close()
        self.bell.close()


def _keep_private(path: Path) -> None:
    """Make a new file readable by its owner only; SQLite gives the files beside it the same mode."""
    # Never opened when it is there: closing it again would free the locks that SQLite holds on it in this process.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _writer(path: Path) -> SharedWriter:
    turnstile = Turnstile(path)
    try:
        connection = _open(path)
        _write_ahead(connection, turnstile)
    except sqlite3.Error:
        turnstile.close()
        raise
    return SharedWriter(connection, turnstile)


def _write_ahead(connection: sqlite3.Connection, turnstile: Turnstile) -> None:
    """Have a new file use WAL, which it does from then on; alone, for of two who do it SQLite refuses one at once."""
    if connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        return
    is_ours = turnstile.take(_BUSY)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        if is_ours:
            turnstile.give()


def _writing(writer: SharedWriter) -> Engine:
    engine = _engine(lambda: Member(writer))
    event.listen(engine, "begin", _begin)
    return engine


def _reading(path: Path) -> Engine:
    def reader() -> sqlite3.Connection:
        connection = _open(path)
        connection.execute("PRAGMA query_only=ON")
        return connection

    return _engine(reader)


def _engine(creator: Callable[[], Any]) -> Engine:
    # Without a limit: there are as many connections as there are threads, and a thread that waits here has no deadline.
    return create_engine(
        "sqlite://", creator=creator, poolclass=QueuePool, pool_size=16, max_overflow=-1, hide_parameters=True
    )


def _begin(connection: Connection) -> None:
    member = connection.connection.dbapi_connection
    assert isinstance(member, Member)
    member.begin()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection
