"""The sites: one for each kind of database, and one on the newer RabbitMQ, shared by the tests of a run."""

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from infra.local.node import Node
from tests.brokers import BrokerApi
from tests.postgres import Postgres
from tests.system.crash_points.site import Site

#: Far from the ports of the other tests' programs; each site has its own, which stay its own while it does not run.
_FIRST_PORT, _PORTS = 28000 + os.getpid() % 300 * 12, count(step=4)


@pytest.fixture(scope="session")
def sqlite_site(
    tmp_path_factory: pytest.TempPathFactory, installed_rabbitmq: Node, sqlite_template: Path
) -> Iterator[Site]:
    """On SQLite and the installed RabbitMQ."""
    folder = tmp_path_factory.mktemp("crash-points-sqlite")
    yield from _lent(folder, _copied(sqlite_template, folder), installed_rabbitmq)


@pytest.fixture(scope="session")
def postgresql_site(
    tmp_path_factory: pytest.TempPathFactory, installed_rabbitmq: Node, postgres: Postgres, postgres_template: str
) -> Iterator[Site]:
    """On PostgreSQL and the installed RabbitMQ."""
    url = postgres.create("crash_points", postgres_template)
    yield from _lent(tmp_path_factory.mktemp("crash-points-postgresql"), url, installed_rabbitmq)
    postgres.drop("crash_points")


@pytest.fixture(scope="session")
def newer_site(tmp_path_factory: pytest.TempPathFactory, newer_rabbitmq: Node, sqlite_template: Path) -> Iterator[Site]:
    """On SQLite and the newer RabbitMQ."""
    folder = tmp_path_factory.mktemp("crash-points-newer")
    yield from _lent(folder, _copied(sqlite_template, folder), newer_rabbitmq)


@pytest.fixture(scope="session", params=["sqlite_site", "postgresql_site"], ids=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest) -> Site:
    """Each kind of database, all tests of one in a row."""
    found: Site = request.getfixturevalue(request.param)
    return found


def _copied(template: Path, folder: Path) -> str:
    shutil.copyfile(template, folder / "tidings.db")
    return f"sqlite:///{folder}/tidings.db"


def _lent(folder: Path, database_url: str, node: Node) -> Iterator[Site]:
    made = Site(folder, database_url, BrokerApi(node), _FIRST_PORT + next(_PORTS))
    try:
        yield made
    finally:
        made.close()
