"""Whole installations, one for each kind of database, shared by the tests of a run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.mailbox import Mailbox
from tests.postgres import Postgres


@pytest.fixture(scope="session")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Tidings as it comes."""
    yield from _running(Installation(tmp_path_factory.mktemp("sqlite-installation")))


@pytest.fixture(scope="session")
def on_postgresql(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Installation]:
    """Tidings on PostgreSQL."""
    folder: Path = tmp_path_factory.mktemp("postgresql-installation")
    yield from _running(Installation(folder, DATABASE_URL=postgres.create("installation")))


@pytest.fixture(params=["on_sqlite", "on_postgresql"])
def installation(request: pytest.FixtureRequest) -> Installation:
    """Both, one after the other."""
    found: Installation = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def mailing(tmp_path: Path, mailbox: Mailbox) -> Iterator[Installation]:
    """Tidings with one consumer more and a mail server that does as it is told; for one test alone."""
    installation = Installation(tmp_path, SMTP_URL=mailbox.url, CONSUMER_PACKAGES="tests.system.neighbours")
    try:
        installation.up()
        yield installation
    finally:
        mailbox.pause()  # so that no send keeps the program from ending
        installation.down()


def _running(installation: Installation) -> Iterator[Installation]:
    try:
        installation.up()
        yield installation
    finally:
        installation.down()
