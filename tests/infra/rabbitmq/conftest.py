"""What the tests of the worker's side share."""

import pytest

from tests.brokers import BrokerApi
from tests.workers import Bench


@pytest.fixture
def bench(broker_api: BrokerApi, vhost: str) -> Bench:
    """A fresh virtual host with what it takes to run workers on it."""
    return Bench(broker_api, vhost)
