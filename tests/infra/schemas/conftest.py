"""A registry that each test may add to and that is as before afterwards."""

from collections.abc import Iterator
from typing import Any

import pytest

from events import registry


@pytest.fixture
def throwaway() -> Iterator[None]:
    """Whatever classes and upcasters the test makes are gone after it."""
    tables: list[dict[Any, Any]] = [registry._classes, registry._newest, registry._upcasters]
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)
