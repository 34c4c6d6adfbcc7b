"""A fleet on each kind of database."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.brokers import BrokerApi
from tests.system.replicas.fleet import Fleet

#: Far from the ports of the other tests' programs.
_FIRST_PORT, _PORTS = 26000 + os.getpid() % 150 * 12, count(step=5)


@pytest.fixture
def fleet(tmp_path: Path, database_url: str, broker_api: BrokerApi) -> Iterator[Fleet]:
    """For one test alone."""
    made = Fleet(tmp_path, database_url, broker_api, _FIRST_PORT + next(_PORTS))
    try:
        yield made
    finally:
        made.close()
