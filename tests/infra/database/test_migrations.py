"""The migrations make what the models say, once, whoever runs them at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlmodel import SQLModel

from infra.database.engine import Database, connect
from infra.database.migrations import configuration, is_current, migrate, require_current
from infra.errors import ConfigurationError
from tests.postgres import Postgres


def test_the_migrated_schema_is_the_one_of_the_models(database: Database) -> None:
    with database.transaction() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert [] == compare_metadata(context, SQLModel.metadata)
    assert is_current(database)


def test_the_way_back_leaves_nothing(database: Database) -> None:
    with database.transaction() as session:
        command.downgrade(configuration(session.connection()), "base")
    with database.reading() as session:
        assert ["alembic_version"] == inspect(session.connection()).get_table_names()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_several_programs_may_migrate_at_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'new.db'}"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.create("migrated_together")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [url] * 4))
    database = connect(url)
    assert is_current(database)
    database.close()


def test_a_program_does_not_start_on_another_schema(tmp_path: Path) -> None:
    database = connect(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(ConfigurationError, match=r"\./tidings migrate"):
        require_current(database)
    database.close()


def test_a_role_that_may_not_make_tables_is_told_what_it_lacks(postgres: Postgres) -> None:
    """As PostgreSQL 15 has it: only a database's owner may create in its schema `public`."""
    url = postgres.create("of_another")
    postgres.run("DROP ROLE IF EXISTS lodger")
    postgres.run("CREATE ROLE lodger LOGIN")
    with pytest.raises(ConfigurationError, match='GRANT CREATE ON SCHEMA public TO "lodger"') as caught:
        migrate(url.replace("postgres@", "lodger@"))
    assert "\n" not in str(caught.value)


def test_a_new_sqlite_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """It holds names and addresses, and `migrate` or `gateway` may well be run before `up` made the folder."""
    file = tmp_path / "state" / "tidings.db"
    migrate(f"sqlite:///{file}")
    database = connect(f"sqlite:///{file}")
    with database.reading() as session:
        session.connection().execute(text("SELECT count(*) FROM outbox"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
    database.close()
    assert {"tidings.db", "tidings.db-wal", "tidings.db-shm"} <= set(modes)
    assert {0o600} == set(modes.values())
    assert 0o700 == file.parent.stat().st_mode & 0o777
