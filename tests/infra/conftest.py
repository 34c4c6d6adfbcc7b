"""The lanes: what speaks with a broker itself is tested on each version that Tidings says it works on."""

from pathlib import Path

import pytest

#: The folders of such tests, beside this file.
_FOLDERS = {"rabbitmq", "recovery", "relaying"}
#: A lane's name -> the fixture that has its node.
_LANES = {"3.10": "installed_rabbitmq", "4.x": "newer_rabbitmq"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of these folders that asks for a broker runs once per lane, all of a lane's tests in a row."""
    folder = Path(metafunc.definition.path).parent
    if folder.parent == Path(__file__).parent and folder.name in _FOLDERS and "rabbitmq" in metafunc.fixturenames:
        metafunc.parametrize("rabbitmq", _LANES.values(), ids=_LANES, indirect=True, scope="session")
