"""The lanes: what speaks with a broker itself is tested on each version that Tidings says it works on."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from infra import logs

#: The folders of such tests, beside this file.
_FOLDERS = {"rabbitmq", "recovery", "relaying", "topology"}
#: A lane's name -> the fixture that has its node.
_LANES = {"3.10": "installed_rabbitmq", "4.x": "newer_rabbitmq"}


@pytest.fixture
def restored_logs() -> Iterator[None]:
    """What a program makes of the logs ends with the test, its levels too."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs._QUIET}
    yield
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of these folders that asks for a broker runs once per lane, all of a lane's tests in a row."""
    folder = Path(metafunc.definition.path).parent
    if folder.parent == Path(__file__).parent and folder.name in _FOLDERS and "rabbitmq" in metafunc.fixturenames:
        metafunc.parametrize("rabbitmq", _LANES.values(), ids=_LANES, indirect=True, scope="session")
