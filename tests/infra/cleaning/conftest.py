"""What the tests of the cleaning share: a database of either kind, to be filled with old rows."""

import pytest

from infra.database.engine import Database
from tests.oldrows import Rows


@pytest.fixture
def rows(database: Database) -> Rows:
    return Rows(database)
