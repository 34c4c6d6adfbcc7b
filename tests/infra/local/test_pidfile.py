"""Pid files: they find what still runs, and never hit a stranger."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import pidfile

IGNORES_TERM = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "server.pid"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits to be ended."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_running_process_is_found(file: Path, sleeper: subprocess.Popen[bytes]) -> None:
    pidfile.write(file, sleeper.pid)
    assert pidfile.read(file) == sleeper.pid


def test_an_ended_process_is_not_found_even_before_its_parent_took_note(
    file: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    pidfile.write(file, sleeper.pid)
    pidfile.end(file, 5)
    assert pidfile.read(file) is None
    assert not file.exists()


def test_another_process_with_the_same_number_is_a_stranger(file: Path, sleeper: subprocess.Popen[bytes]) -> None:
    file.write_text(f"{sleeper.pid} 1\n")
    assert pidfile.read(file) is None
    pidfile.end(file, 0)
    assert sleeper.poll() is None


@pytest.mark.parametrize("text", ["", "x", "12", "-1 5", "99999999 1"])
def test_a_file_that_says_nothing_useful_names_no_process(file: Path, text: str) -> None:
    file.write_text(text)
    assert pidfile.read(file) is None


def test_a_missing_file_names_no_process(file: Path) -> None:
    assert pidfile.read(file) is None


def test_a_process_that_does_not_heed_term_is_killed_after_the_grace(file: Path) -> None:
    with subprocess.Popen(["sh", "-c", IGNORES_TERM], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pidfile.write(file, process.pid)
        began = time.monotonic()
        pidfile.end(file, 0.3)
        assert 0.3 <= time.monotonic() - began < 5
        assert process.wait() == -9
