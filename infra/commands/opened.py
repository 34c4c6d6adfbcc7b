"""What every command works with: the database that the settings name, and the name of whoever asks."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager

from infra.database import engine, migrations
from infra.database.engine import Database
from infra.settings import load


@contextmanager
def opened(*, of_any_version: bool = False) -> Iterator[Database]:
    """The database, for as long as the command takes; of any version for what is asked before it is migrated.

    Raises:
        ConfigurationError: the setting is wrong, or the schema is not current.
        DatabaseUnavailable: the database is away.
    """
    database = engine.connect(load().database)
    try:
        (migrations.require_tables if of_any_version else migrations.require_current)(database)
        yield database
    finally:
        database.close()


def who() -> str:
    """The user of this system, for the audit."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"user {os.getuid()}"
