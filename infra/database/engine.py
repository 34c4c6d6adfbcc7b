"""The database: one Session class everywhere, and the only place that commits."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TypeVar

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlmodel import Session

from infra.database import sqlite
from infra.database.away import DatabaseError, named
from infra.database.bell import Bell
from infra.database.notifications import NotifyBell
from infra.database.session import CoreSession
from infra.database.writer import Writer, one_by_one
from infra.errors import ConfigurationError
from infra.shields import Shield

T = TypeVar("T")
Item = TypeVar("Item")
#: Key in `session.info`, set by the outbox: this transaction added events.
ADDED_EVENTS = "added-events"
#: How libpq learns that a server has gone without a word, which takes the system's own TCP 15 minutes and more: 5 s to
#: connect, 5 + 3 * 2 s of silence while it waits for an answer, 10 s (in ms) until what it sent is acknowledged. A slow
#: statement is not silence: the server's system answers the probes.
_ENDS = {
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
#: What the server gives up: waiting for a row's lock, well before a handler's own 60 s are over, so that the waiter is
#: told why; and a transaction whose client does nothing in it for those 60 s, such as one on a machine that vanished,
#: whose locks would otherwise stay until the server's TCP gives up.
_OPTIONS = "-c lock_timeout=20s -c idle_in_transaction_session_timeout=60s"


class Database:
    """Hands out transactions; knows nothing of what is done in them."""

    def __init__(
        self, writing: Engine, reading: Engine, *, bell: Bell, close: Callable[[], None] = lambda: None
    ) -> None:
        self.engine = writing
        self._reading = reading
        self._close = close
        #: Tells the relay of another process of new events.
        self.bell = bell
        self._wake: list[Callable[[], None]] = [bell.ring]
        self._writer = Writer(partial(self._transaction, gathers=True))

    @property
    def is_sqlite(self) -> bool:
        """SQLite or PostgreSQL: there is no third."""
        return self.engine.dialect.name == "sqlite"

    def transaction(self) -> AbstractContextManager[Session]:
        """Commit what the block did, or nothing of it when the block raises; begins at the block's first statement.

        Raises:
            DatabaseUnavailable: the database is away, or was locked for too long.
        """
        return self._transaction()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Read what is committed; each statement sees the newest state, and no lock is taken.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        try:
            with (
                Shield() as shield,
                self._reading.connect() as connection,
                CoreSession(connection) as session,
                shield.lowered(),
            ):
                yield session
        except DatabaseError as error:
            raise named(error) from error

    def submit(self, work: Callable[[Session], T]) -> Future[T]:
        """Run a function in a transaction on the one writer thread, together with all others that wait by then.

        The function gets a savepoint of its own and may be run a second time; its future has its result only when the
        common commit is through.
        """
        return self._writer.submit(one_by_one, work)

    def run(self, work: Callable[[Session], T]) -> T:
        """The same, and wait for the result; no time limit interrupts the wait, which is a short one.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        with Shield():
            return self.submit(work).result()

    def join(self, together: Callable[[Session, Sequence[Item]], Sequence[T]], item: Item) -> T:
        """Have this written together with what waits for the same function, all of it in as few statements as it can.

        What the function raises undoes all that it was given, and each is then written alone. What is submitted and not
        waited for may be written after it.

        Raises:
            DatabaseUnavailable: the database is away.
            Exception: what the function refused this one with.
        """
        with Shield():
            result: T = self._writer.submit(together, item).result()
        return result

    def on_outbox(self, wake: Callable[[], None]) -> None:
        """Call this, from any thread, after each commit of this process that added events to the outbox."""
        self._wake.append(wake)

    def close(self) -> None:
        """Finish what was submitted and close all connections."""
        self._writer.close()
        self.engine.dispose()
        self._reading.dispose()
        self._close()

    @contextmanager
    def _transaction(self, *, gathers: bool = False) -> Iterator[CoreSession]:
        """One that gathers is shared by many: see `CoreSession.add_rows`."""
        try:
            with Shield() as shield:
                with self.engine.connect() as connection, CoreSession(connection, gathers=gathers) as session:
                    with shield.lowered():
                        yield session
                    session.settle()
                self._tell_of(session)
        except DatabaseError as error:
            raise named(error) from error

    def _tell_of(self, session: Session) -> None:
        if session.info.get(ADDED_EVENTS):
            for wake in self._wake:
                wake()


def connect(url: str) -> Database:
    """Make the Database for a URL; nothing is connected before the first statement, except SQLite's file.

    Raises:
        ConfigurationError: the URL is not one of SQLite or PostgreSQL, or the file cannot be opened.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a ValueError for a port that is no number
        raise ConfigurationError("TIDINGS_DATABASE_URL cannot be read: use sqlite:///file or postgresql://…") from None
    if parsed.get_backend_name() == "sqlite":
        opened = sqlite.Opened(parsed.database)
        return Database(opened.writing, opened.reading, bell=opened.bell, close=opened.close)
    if parsed.get_backend_name() != "postgresql":
        raise ConfigurationError(f"TIDINGS_DATABASE_URL: {parsed.get_backend_name()} is not supported.")
    return _postgresql(parsed.set(drivername="postgresql+psycopg"))


def _postgresql(url: URL) -> Database:
    try:
        engine = create_engine(_bounded(url), hide_parameters=True, pool_size=8, max_overflow=24)
    except NoSuchModuleError as error:
        raise ConfigurationError(f"TIDINGS_DATABASE_URL: {error}.") from None
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    return Database(engine, autocommit, bell=NotifyBell(autocommit))


def _bounded(url: URL) -> URL:
    """Give every wait for the server an end; what the URL itself says counts more."""
    asked = url.query.get("options", "")
    options = " ".join([_OPTIONS, asked if isinstance(asked, str) else " ".join(asked)]).strip()
    return url.set(query={**_ENDS, **url.query, "options": options})
