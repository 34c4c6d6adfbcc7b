"""The programs that are no web servers: what is wrong with their settings is one line, and each has its probes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from infra.local.ports import free_port
from infra.settings import environment_without_settings
from tests.waiting import until

ROOT = Path(__file__).parents[1]
PORT = "TIDINGS_PROBE_PORT"


@pytest.fixture
def environment(sqlite_url: str, tmp_path: Path) -> dict[str, str]:
    """What the programs need; nothing answers at the addresses of the servers."""
    return environment_without_settings() | {
        "TIDINGS_DATABASE_URL": sqlite_url,
        "TIDINGS_RABBITMQ_URL": "amqp://guest:guest@127.0.0.1:1/",
        "TIDINGS_SMTP_URL": "smtp://127.0.0.1:1",
        "TIDINGS_STATE_DIR": str(tmp_path),
        "TIDINGS_LOG_FORMAT": "json",
        PORT: str(free_port(24000 + os.getpid() % 1000)),
    }


@contextmanager
def running(environment: dict[str, str], log: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A program while the block lasts, all that it says being in the log."""
    command = [sys.executable, "-m", *arguments]
    with log.open("wb") as said:
        program = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
    try:
        yield program
    finally:
        program.send_signal(signal.SIGTERM)
        program.wait(30)


def complaint(environment: dict[str, str], program: str) -> str:
    """The one line of a program that cannot start."""
    done = subprocess.run(
        [sys.executable, "-m", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    return line


def problems(port: str) -> dict[str, str]:
    """What /readyz names."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            found = json.load(answer)
    except HTTPError as error:
        with error:
            found = json.load(error)
    return dict(found["problems"])


@pytest.mark.parametrize("program", ["consumers", "scheduler"])
def test_a_taken_port_is_one_line(environment: dict[str, str], program: str) -> None:
    with socket.create_server(("127.0.0.1", int(environment[PORT]))):
        assert PORT in complaint(environment, program)


def test_a_sender_that_cannot_be_used_is_one_line_before_any_worker_starts(environment: dict[str, str]) -> None:
    assert "TIDINGS_MAIL_FROM" in complaint(environment | {"TIDINGS_MAIL_FROM": "Zoë <zoë@example.org>"}, "consumers")


def test_each_worker_process_has_probes_and_the_first_one_those_of_the_setting(
    environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"

    def both() -> set[str]:
        lines = [line for line in log.read_text().splitlines() if "consumers ready to start" in line]
        ports = {found[1] for line in lines if (found := re.search(r'"probes": ?(\d+)', line))}
        return ports if len(ports) == 2 else set()

    with running(environment, log, "consumers", "--processes", "2"):
        found = until(both, seconds=60, what="two worker processes")
        assert environment[PORT] in found
        for port in found:
            assert {"welcome-email": "not attached to its queue"}.items() <= problems(port).items()
    assert "Traceback" not in log.read_text()
