"""The migrations make what the models say, once, whoever runs them at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect
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
