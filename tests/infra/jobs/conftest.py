"""What tests of jobs share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.database.engine import Database
from tests.jobs import Worker


@pytest.fixture
def worker(database: Database, tmp_path: Path) -> Iterator[Worker]:
    made = Worker(database, tmp_path / "results")
    yield made
    made.close()
