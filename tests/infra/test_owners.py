"""The name of a process: others on its machine see when it is gone, and nobody guesses about one elsewhere."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import owners

ROOT = Path(__file__).parents[2]
_SAY = "from infra import owners; print(owners.name(), flush=True); input()"


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process, and its name."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SAY], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        yield process, process.stdout.readline().rstrip("\n")
        process.kill()


def test_a_process_that_runs_is_not_gone(other: tuple[subprocess.Popen[str], str]) -> None:
    assert not owners.is_gone(other[1])
    assert not owners.is_gone(owners.name())


def test_a_killed_process_is_gone(other: tuple[subprocess.Popen[str], str]) -> None:
    process, name = other
    process.kill()
    process.wait()
    assert owners.is_gone(name)


def test_a_later_process_with_the_same_number_is_another_one() -> None:
    host, started, world = owners.name().split(" ")
    assert owners.is_gone(f"{host} {int(started) - 1} {world}")


@pytest.mark.parametrize("change", ["world", "none"])
def test_of_a_process_elsewhere_nothing_is_known(other: tuple[subprocess.Popen[str], str], change: str) -> None:
    process, name = other
    process.kill()
    process.wait()
    host, started, _ = name.split(" ")
    assert not owners.is_gone(f"{host} {started} elsewhere" if change == "world" else host)
    assert not owners.is_gone("")
