"""Bringing a database to the schema of `tables.py`, by Alembic; safe to run from several programs at once."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError

from infra.database import consumer_tables, erasure_tables, job_tables, recovery_tables, schedule_tables, tables
from infra.database.engine import Database, connect
from infra.errors import ConfigurationError

#: The modules that describe the schema.
SCHEMA = (tables, recovery_tables, schedule_tables, consumer_tables, job_tables, erasure_tables)
#: Any number, the same in every program: the advisory lock under which PostgreSQL is migrated.
_LOCK = 7_302_216
#: PostgreSQL's SQLSTATE `insufficient_privilege`.
_FORBIDDEN = "42501"


def migrate(url: str) -> None:
    """Apply what is missing, all in one transaction.

    Raises:
        ConfigurationError: the URL cannot be used, or the role that it names may not make tables.
        DatabaseUnavailable: the database is away.
    """
    database = connect(url)
    try:
        _upgrade(database)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _FORBIDDEN:
            raise ConfigurationError(_forbidden(error, make_url(url).username or "the role")) from None
        raise
    finally:
        database.close()


def is_current(database: Database) -> bool:
    """Whether the schema is the one that this program was written for.

    Raises:
        DatabaseUnavailable: the database is away.
    """
    with database.reading() as session:
        at = MigrationContext.configure(session.connection()).get_current_revision()
    return at == ScriptDirectory.from_config(configuration(None)).get_current_head()


def require_current(database: Database) -> None:
    """Let a program start only on the schema that it was written for.

    Raises:
        ConfigurationError: the schema is another one.
        DatabaseUnavailable: the database is away.
    """
    if not is_current(database):
        raise ConfigurationError("The database is not at this version's schema: run ./tidings migrate first.")


def require_tables(database: Database) -> None:
    """Let a command look at a database that is of an older version, perhaps: before it is migrated.

    Raises:
        ConfigurationError: nobody has migrated it yet.
        DatabaseUnavailable: the database is away.
    """
    with database.reading() as session:
        at = MigrationContext.configure(session.connection()).get_current_revision()
    if at is None:
        raise ConfigurationError("The database has no tables yet: run ./tidings migrate first.")


def configuration(connection: Connection | None) -> Config:
    """Alembic's configuration, made here so that no ini file is needed."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(database: Database) -> None:
    with database.transaction() as session:
        connection = session.connection()
        # One program at a time: SQLite's lock comes with the first statement, whatever it is.
        turn = "SELECT :lock" if database.is_sqlite else "SELECT pg_advisory_xact_lock(:lock)"
        connection.execute(text(turn), {"lock": _LOCK})
        command.upgrade(configuration(connection), "head")


def _forbidden(error: DBAPIError, role: str) -> str:
    said = str(error.orig).strip().partition("\n")[0]
    return (
        f"The database's tables cannot be made ({said}): as the owner of the database run "
        f'GRANT CREATE ON SCHEMA public TO "{role}", or make "{role}" the owner.'
    )
