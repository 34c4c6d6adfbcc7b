"""The servers that tests run against: real ones, private to this test session, started when the first test asks."""

import atexit
import gc
import logging
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import structlog
from playwright.sync_api import Browser

from infra.database.engine import Database, connect
from infra.database.migrations import migrate
from infra.errors import TidingsError
from infra.local.install import ensure_chromium, ensure_postgresql, ensure_rabbitmq
from infra.local.node import Node, Ports
from tests import browser as browsers
from tests import parallel, roots
from tests.brokers import BrokerApi
from tests.mailbox import Mailbox
from tests.postgres import Postgres

#: The fixture `kit`, as those have it who write consumers.
pytest_plugins = ["infra.testing.plugin"]
_TEMPLATE = "tidings_template"


def pytest_configure(config: pytest.Config) -> None:
    """A test run that is told to end (TERM) ends its servers too, as one that is interrupted does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    structlog.configure = _without_cache(structlog.configure)
    parallel.register(config)


def pytest_collection_finish() -> None:
    """What was imported for all tests stays: no collection of garbage in one of them need look at it again."""
    gc.collect()
    gc.freeze()


def _without_cache(configure: Callable[..., None]) -> Callable[..., None]:
    """A logger that is first used in a test of programs' logs must not keep them for all tests of the process."""
    return lambda **its: configure(**{**its, "cache_logger_on_first_use": False})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which brokers this run was about: the newer one rolls."""
    if versions := config.stash[parallel.VERSIONS]:
        terminalreporter.write_line(f"RabbitMQ under test: {', '.join(sorted(versions))}")


@pytest.fixture(scope="session")
def installed_rabbitmq(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Node]:
    """A private node of the installed server."""
    node = Node(tmp_path_factory.mktemp("rabbitmq"), _ports(0))
    with failing_in_one_line():
        ensure_rabbitmq(pytestconfig.get_terminal_writer().line)
        node.start(wait=True)
    yield from _lent(node, pytestconfig)


@pytest.fixture(scope="session")
def newer_rabbitmq(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Node]:
    """A private node of RabbitMQ 4, unpacked beside the installed server."""
    make = partial(Node, tmp_path_factory.mktemp("rabbitmq-4"), _ports(4))
    with failing_in_one_line():
        node = roots.started(lambda root: make(root=root), say=pytestconfig.get_terminal_writer().line)
    yield from _lent(node, pytestconfig)


@pytest.fixture(scope="session")
def rabbitmq(request: pytest.FixtureRequest) -> Node:
    """The node of the test's lane, else of the installed server; a test that stops it starts it again."""
    node: Node = request.getfixturevalue(getattr(request, "param", "installed_rabbitmq"))
    return node


@pytest.fixture(scope="session")
def broker_api(rabbitmq: Node) -> BrokerApi:
    """What tests ask of, and do to, the node."""
    return BrokerApi(rabbitmq)


@pytest.fixture
def vhost(broker_api: BrokerApi) -> Iterator[str]:
    """URL of a fresh virtual host."""
    url = broker_api.create_vhost(f"test-{secrets.token_hex(4)}")
    yield url
    broker_api.delete_vhost(url)


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[Postgres]:
    """A private PostgreSQL server."""
    with failing_in_one_line():
        ensure_postgresql(pytestconfig.get_terminal_writer().line)
    server = Postgres.quick()
    atexit.register(server.stop)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        atexit.unregister(server.stop)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """Name of a migrated database to copy."""
    migrate(postgres.create(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """URL of a fresh, migrated, empty SQLite database."""
    file = tmp_path / "tidings.db"
    shutil.copyfile(sqlite_template, file)
    return f"sqlite:///{file}"


@pytest.fixture
def postgres_url(postgres: Postgres, postgres_template: str) -> Iterator[str]:
    """URL of a fresh, migrated, empty PostgreSQL database."""
    name = f"test_{secrets.token_hex(4)}"
    yield postgres.create(name, postgres_template)
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a fresh, migrated, empty database: each test runs on both kinds."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database of either kind, connected."""
    connected = connect(database_url)
    yield connected
    connected.close()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mail server that keeps what it takes and fails as it is told."""
    server = Mailbox()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser(pytestconfig: pytest.Config) -> Iterator[Browser]:
    """Chromium; for one module alone, as an event loop runs in the tests' thread for as long as it does."""
    with failing_in_one_line():
        ensure_chromium(pytestconfig.get_terminal_writer().line)
    with browsers.chromium() as started:
        yield started


@contextmanager
def failing_in_one_line() -> Iterator[None]:
    """A server that is not to be had fails each test that asks for it, with its reason and without pages of trace."""
    try:
        yield
    except TidingsError as error:
        pytest.fail(str(error), pytrace=False)


def _ports(offset: int) -> Ports:
    first = (
        20000 + os.getpid() % 1000 * 8 + offset
    )  # far from what a person's own node has, and from the next session's
    return Ports(first, first + 1, first + 2, first + 3)


def _lent(node: Node, config: pytest.Config) -> Iterator[Node]:
    """A node that runs, until nobody needs it any more."""
    config.stash[parallel.VERSIONS].add(roots.version(node.root))
    atexit.register(node.stop)
    try:
        yield node
    finally:
        node.stop(seconds=0)  # at once: an orderly end takes 6 s, and nobody needs the data
        atexit.unregister(node.stop)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """What a program makes of the logs ends with its test: its handler writes to a stream that the test has closed."""
    root, configured = logging.getLogger(), structlog.is_configured()
    before = root.handlers[:]
    yield
    ours = structlog.stdlib.ProcessorFormatter
    root.handlers = [each for each in root.handlers if each in before or not isinstance(each.formatter, ours)]
    if structlog.is_configured() and not configured:
        structlog.reset_defaults()
