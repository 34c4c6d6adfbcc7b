"""A registry that each test may add to and that is as before afterwards; and no stop-watch on property tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from events import registry

# How long an example takes says how busy the machine is, and nothing about the rule that is tested.
settings.register_profile("tidings", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tidings")


@pytest.fixture
def throwaway() -> Iterator[None]:
    """Whatever classes and upcasters the test makes are gone after it."""
    tables: list[dict[Any, Any]] = [registry._classes, registry._newest, registry._upcasters]
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)
