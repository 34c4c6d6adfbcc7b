"""What the probes of consumers and scheduler say of the database."""

import pytest
from alembic import command
from sqlalchemy import text

from infra.database import migrations
from infra.database.engine import Database, connect
from infra.database.migrations import configuration
from infra.database.readiness import Readiness


def test_a_database_that_answers_is_no_problem_and_its_schema_is_looked_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    readiness = Readiness(database)
    assert {} == readiness.problems()
    monkeypatch.setattr(migrations, "is_current", lambda _: pytest.fail("Alembic's folder is read again"))
    assert {} == readiness.problems()


def test_another_schema_is_a_problem_with_a_name(database: Database) -> None:
    with database.transaction() as session:
        command.downgrade(configuration(session.connection()), "base")
    assert "run ./tidings migrate" in Readiness(database).problems()["database"]


def test_a_newer_schema_leaves_an_older_program_in_service(database: Database) -> None:
    readiness = Readiness(database)
    readiness.problems()
    with database.transaction() as session:
        session.connection().execute(text("UPDATE alembic_version SET version_num = 'newer'"))
    assert {} == readiness.problems()


def test_tables_that_are_gone_are_a_problem_with_a_name(database: Database) -> None:
    readiness = Readiness(database)
    readiness.problems()
    with database.transaction() as session:
        session.connection().execute(text("DROP TABLE alembic_version"))
    assert "run ./tidings migrate" in readiness.problems()["database"]


def test_a_database_that_is_away_is_a_problem_with_a_name() -> None:
    database = connect("postgresql://nobody@127.0.0.1:9/none")
    assert "away" in Readiness(database).problems()["database"]
    database.close()
