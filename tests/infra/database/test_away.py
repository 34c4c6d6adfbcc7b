"""Which of PostgreSQL's errors lie in the moment (held, and no try is counted) and which are the handler's own."""

import threading

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from infra.database.away import named
from infra.database.engine import Database, connect
from infra.errors import DatabaseUnavailable

LOCK = text("LOCK TABLE lease")


def wait_in(database: Database, setting: str, seconds: float) -> None:
    with database.transaction() as session:
        session.connection().execute(text(f"SET LOCAL {setting}"))
        session.connection().execute(text(f"SELECT pg_sleep({seconds})"))


def test_a_statement_of_its_own_that_takes_too_long_is_the_handlers_doing(postgres_url: str) -> None:
    """Held for ever otherwise: the same statement is as slow the next time."""
    database = connect(postgres_url)
    with pytest.raises(OperationalError, match="statement timeout"):
        wait_in(database, "statement_timeout = 50", 5)
    database.close()


def test_a_transaction_that_does_nothing_for_too_long_is_the_handlers_doing(postgres_url: str) -> None:
    database = connect(postgres_url + "?options=-c%20idle_in_transaction_session_timeout%3D50")

    def idle() -> None:
        with database.transaction() as session:
            session.connection().execute(text("SELECT 1"))
            threading.Event().wait(0.5)
            session.connection().execute(text("SELECT 1"))

    with pytest.raises(DBAPIError, match="idle-in-transaction"):
        idle()
    database.close()


def test_a_lock_that_does_not_come_lies_in_the_moment(postgres_url: str) -> None:
    database = connect(postgres_url + "?options=-c%20lock_timeout%3D50")

    def collide() -> None:
        with database.transaction() as first, database.transaction() as second:
            first.connection().execute(LOCK)
            second.connection().execute(LOCK)

    with pytest.raises(DatabaseUnavailable, match="lock timeout"):
        collide()
    database.close()


def test_every_connection_has_an_end_for_every_wait(postgres_url: str) -> None:
    database = connect(postgres_url)
    with database.reading() as session:
        shown = [
            session.connection().execute(text(f"SHOW {name}")).scalar_one()
            for name in ("lock_timeout", "idle_in_transaction_session_timeout", "tcp_user_timeout")
        ]
        parameters = session.connection().connection.dbapi_connection.info.get_parameters()  # type: ignore[union-attr]
    assert ["20s", "1min"] == shown[:2]
    assert {"keepalives_idle": "5", "tcp_user_timeout": "10000"}.items() <= parameters.items()
    database.close()


@pytest.mark.parametrize(("sqlstate", "away"), [("57P01", True), ("57P03", True), ("40001", True), ("57014", False)])
def test_a_server_that_shuts_down_lies_in_the_moment(sqlstate: str, away: bool) -> None:
    error = DBAPIError("SELECT 1", None, psycopg.errors.lookup(sqlstate)("x"))
    assert away is isinstance(named(error), DatabaseUnavailable)
