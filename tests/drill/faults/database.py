"""The database."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import psycopg
from sqlalchemy import make_url

from tests.drill.faults.fault import Fault, Lasting
from tests.drill.stage import Stage

#: What every program writes to.
_TABLES = "users, outbox, inbox, event_log"


class Locked(Lasting):
    """Somebody else holds the write lock, or on PostgreSQL the locks of the tables."""

    name = "database-lock"
    gateway_answers = False
    ticks_may_be_missed = True

    def context(self, stage: Stage) -> AbstractContextManager[None]:
        return _sqlite_locked(stage) if stage.postgres is None else _postgres_locked(stage)


@contextmanager
def _sqlite_locked(stage: Stage) -> Iterator[None]:
    file = make_url(stage.database_url).database
    assert file is not None
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextmanager
def _postgres_locked(stage: Stage) -> Iterator[None]:
    url = stage.database_url.replace("postgresql+psycopg", "postgresql")
    with closing(psycopg.connect(url)) as connection:
        connection.execute(f"LOCK TABLE {_TABLES} IN ACCESS EXCLUSIVE MODE")
        try:
            yield
        finally:
            connection.rollback()


class Restarted(Fault):
    """PostgreSQL is stopped in order, and started."""

    name = "database-restart"
    seconds = 3.0
    only_on = "postgresql"
    gateway_answers = False
    ticks_may_be_missed = True

    def inject(self, stage: Stage) -> None:
        assert stage.postgres is not None
        stage.postgres.halt()

    def heal(self, stage: Stage) -> float:
        assert stage.postgres is not None
        stage.postgres.resume()
        return time.time()


class Killed(Restarted):
    """All of PostgreSQL's processes die at once."""

    name = "database-kill"

    def inject(self, stage: Stage) -> None:
        assert stage.postgres is not None
        stage.postgres.kill()
