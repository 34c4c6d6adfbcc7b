"""What the consumers' tests share."""

from collections.abc import Iterator

import pytest

from infra.database.engine import Database, connect


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """One kind of database is enough where a test is about something else."""
    database = connect(sqlite_url)
    yield database
    database.close()
