"""SQLite's one writer, shared: transactions that wait together are committed together.

A commit costs a flush of the disk, and SQLite has one writer at a time. So the threads of a process take turns on one
connection. Who leaves while others wait keeps its work in the open transaction, hands the turn on and waits; the last
one commits for all of them. Each but the first works in a savepoint of its own, so that a failure undoes only itself.
`Member` looks like a DBAPI connection, so SQLAlchemy and the rest of Tidings know nothing of it.
"""

import sqlite3
import time
from collections import deque
from threading import Event, Lock
from typing import Any

from infra.database.file_lock import Turnstile
from infra.shields import Shield

#: Seconds that a thread waits for its turn, and its process for the lock, before the database counts as locked.
PATIENCE = 30.0
#: A group is committed at the latest after this many members …
LARGEST = 128
#: … or this many seconds, about what the commit costs: whoever is in the group waits for its end, and takes part in
#: nothing else meanwhile. (20 ms instead halved the rate of the consumers.)
LONGEST = 0.001


class Turn:
    """A lock that is given in the order of asking, and that knows whether somebody waits for it."""

    def __init__(self) -> None:
        self._mutex = Lock()
        self._busy = False
        self._waiting: deque[Lock] = deque()

    def take(self, seconds: float) -> bool:
        """Wait for the turn; False when it did not come in time."""
        with self._mutex:
            if not self._busy:
                self._busy = True
                return True
            ticket = Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        return ticket.acquire(timeout=seconds) or not self._withdraw(ticket)

    def hand_on(self) -> bool:
        """Give the turn to the one who waits longest; False, and it is kept, when nobody waits."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
                return True
            return False

    def give(self) -> None:
        """End the turn."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._busy = False

    def _withdraw(self, ticket: Lock) -> bool:
        with self._mutex:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                return True
            return False  # the turn came in the very last moment


class Group:
    """The members whose work lies in one open transaction."""

    def __init__(self) -> None:
        self.members = 0
        self.until = time.monotonic() + LONGEST
        self.ended = Event()
        self.error: sqlite3.Error | None = None

    def take_result(self) -> None:
        """Wait for the commit; raise what it raised."""
        self.ended.wait()
        if self.error is not None:
            raise sqlite3.OperationalError(f"the common commit failed: {self.error}") from self.error


class SharedWriter:
    """The one writing connection of a process, and whose turn it is."""

    def __init__(self, connection: sqlite3.Connection, lock: Turnstile | None) -> None:
        self.connection = connection
        self._lock = lock
        self._turn = Turn()
        self._group: Group | None = None

    def enter(self) -> None:
        """Begin a member's transaction, alone or as one more of the group."""
        if not self._turn.take(PATIENCE):
            raise sqlite3.OperationalError("database is locked: another transaction of this process does not end")
        try:
            if self._group is None:
                self._begin()
            else:
                self.connection.execute("SAVEPOINT member")
        except BaseException:
            self._leave()
            raise

    def keep(self) -> None:
        """End a member's transaction; returns when the group that holds it is on disk."""
        group = self._group
        assert group is not None
        try:
            self._release(group)
        except BaseException:
            self._leave()
            raise
        group.members += 1
        self._leave()
        group.take_result()

    def undo(self) -> None:
        """End a member's transaction without a trace of it."""
        group = self._group
        assert group is not None
        try:
            if group.members and self.connection.in_transaction:
                self.connection.execute("ROLLBACK TO member")
                self.connection.execute("RELEASE member")
        finally:
            self._leave()

    def close(self) -> None:
        """Close the connection; nothing is open any more."""
        self.connection.close()
        if self._lock is not None:
            self._lock.close()

    def _begin(self) -> None:
        if self._lock is not None and not self._lock.take(PATIENCE):
            raise sqlite3.OperationalError("database is locked: a transaction of another process does not end")
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            if self._lock is not None:
                self._lock.give()
            raise
        self._group = Group()

    def _release(self, group: Group) -> None:
        if not self.connection.in_transaction:  # SQLite ended it by itself: disk full, I/O error
            raise sqlite3.OperationalError("disk I/O error: SQLite gave the transaction up")
        if group.members:
            self.connection.execute("RELEASE member")

    def _leave(self) -> None:
        group = self._group
        if group is not None:
            sound = group.members > 0 and self.connection.in_transaction
            if sound and group.members < LARGEST and time.monotonic() < group.until and self._turn.hand_on():
                return
            self._end(group)
        self._turn.give()

    def _end(self, group: Group) -> None:
        self._group = None
        try:
            self._commit_or_roll_back(group)
        except sqlite3.Error as error:
            group.error = error
        finally:
            if self._lock is not None:
                self._lock.give()
            group.ended.set()

    def _commit_or_roll_back(self, group: Group) -> None:
        if not self.connection.in_transaction:
            if group.members:
                raise sqlite3.OperationalError("disk I/O error: SQLite gave the transaction up")
        elif group.members:
            try:
                self.connection.execute("COMMIT")
            except sqlite3.Error:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
        else:
            self.connection.execute("ROLLBACK")


class Member:
    """One transaction's view of the shared writer, in the form of a DBAPI connection (PEP 249).

    An interrupt between taking the turn and knowing of it would keep the turn for ever: hence the shields.
    """

    def __init__(self, writer: SharedWriter) -> None:
        self._writer = writer
        self._inside = False

    def begin(self) -> None:
        """Wait for the turn and begin; called at the transaction's first statement."""
        with Shield():
            self._writer.enter()
            self._inside = True

    def commit(self) -> None:
        """Durable when this returns."""
        with Shield():
            if self._inside:
                self._inside = False
                self._writer.keep()

    def rollback(self) -> None:
        """Undo this member's work only."""
        with Shield():
            if self._inside:
                self._inside = False
                self._writer.undo()

    def close(self) -> None:
        """Undo what is open; the shared connection stays."""
        self.rollback()

    def create_function(self, *_: Any, **__: Any) -> None:
        """SQLAlchemy adds two functions to each new connection; this one is not new, and it may be busy."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer.connection, name)
