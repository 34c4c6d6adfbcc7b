"""The pytest plugin: the fixture `kit`, and the whole story where a test with it fails."""

from collections.abc import Generator, Iterator

import pytest

from infra.settings import load
from infra.testing import vhosts
from infra.testing.kit import Kit
from infra.testing.told import State
from infra.testing.vhosts import Vhosts

#: Tries that are shown.
_MOST_SHOWN = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that has all tests with a kit run over a real broker."""
    words = "run all tests with a kit over a real RabbitMQ (a private one, or that of TIDINGS_RABBITMQ_URL)"
    parser.getgroup("tidings").addoption("--broker", action="store_true", help=words)


def pytest_configure(config: pytest.Config) -> None:
    """The marker that has one test do so."""
    config.addinivalue_line("markers", "broker: its kit works over a real RabbitMQ, and in real time")


@pytest.fixture(scope="session")
def kit_vhosts(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Vhosts]:
    """The broker of this run, started for the first test that asks."""
    say = pytestconfig.get_terminal_writer().line
    with vhosts.provided(load(), tmp_path_factory.mktemp("kit-rabbitmq"), say) as made:
        yield made


@pytest.fixture
def kit_broker(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """URL of a virtual host of the test's own; None for a test in memory."""
    if not (request.config.getoption("--broker") or request.node.get_closest_marker("broker")):
        yield None
        return
    made: Vhosts = request.getfixturevalue("kit_vhosts")
    with made.fresh() as url:
        yield url


@pytest.fixture
def kit(kit_broker: str | None) -> Iterator[Kit]:
    """A bus of the test's own; all of it is gone after the test."""
    made = Kit(kit_broker)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """An assertion about a state that fails says why it is another one."""
    stories = [line for side in (left, right) if isinstance(side, State) for line in side.story.splitlines()]
    return [f"{str(left)!r} {op} {str(right)!r}", "", *stories] if stories else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say what happened in the kit of a test that failed."""
    report = yield
    made = getattr(item, "funcargs", {}).get("kit")
    if report.when == "call" and report.failed and isinstance(made, Kit) and made.told:
        shown = "\n".join(map(repr, made.told[-_MOST_SHOWN:]))
        report.sections.append(("What happened in the kit", shown))
    return report
