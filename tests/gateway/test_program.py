"""`python -m gateway`: starts without its broker, stops in good order, and says in one line why it cannot start."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from infra.local.ports import free_port
from tests.waiting import until

ROOT = Path(__file__).parents[2]
NO_BROKER = "amqp://guest:guest@127.0.0.1:1/"


@pytest.fixture
def environment(sqlite_url: str, tmp_path: Path) -> dict[str, str]:
    """What the program needs; nothing answers at its broker's address."""
    return {
        "PATH": os.environ["PATH"],
        "TIDINGS_DATABASE_URL": sqlite_url,
        "TIDINGS_RABBITMQ_URL": NO_BROKER,
        "TIDINGS_OPERATOR_TOKEN": "secret",
        "TIDINGS_HTTP_PORT": str(free_port(26000 + os.getpid() % 1000)),
        "TIDINGS_STATE_DIR": str(tmp_path),
    }


def test_it_accepts_registrations_without_a_broker_and_ends_at_sigterm(environment: dict[str, str]) -> None:
    base = f"http://127.0.0.1:{environment['TIDINGS_HTTP_PORT']}"
    with running(environment) as program:
        until(lambda: answers(f"{base}/livez"), seconds=60, what="the gateway's answer")
        body = json.dumps({"name": "Ada", "email": "ada@example.com"}).encode()
        with urlopen(Request(f"{base}/users", body, {"content-type": "application/json"})) as answer:
            assert answer.status == 201
        until(lambda: "degraded" in answers(f"{base}/readyz"), what="readiness that tells of the broker")
        program.send_signal(signal.SIGTERM)
        _, said = program.communicate(timeout=30)
    assert program.returncode == 0
    assert "Traceback" not in said


def test_a_taken_port_is_one_line(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(environment["TIDINGS_HTTP_PORT"]))):
        assert "set TIDINGS_HTTP_PORT" in complaint(environment)


def test_a_database_that_was_not_migrated_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    assert "./tidings migrate" in complaint(environment | {"TIDINGS_DATABASE_URL": f"sqlite:///{tmp_path}/new.db"})


def test_a_database_that_is_away_is_one_line(environment: dict[str, str]) -> None:
    assert "database" in complaint(environment | {"TIDINGS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})


def test_an_unknown_broker_is_one_line(environment: dict[str, str]) -> None:
    assert "TIDINGS_RABBITMQ_URL" in complaint(environment | {"TIDINGS_RABBITMQ_URL": ""})


def complaint(environment: dict[str, str]) -> str:
    """What the program says when it cannot start."""
    with running(environment) as program:
        _, said = program.communicate(timeout=60)
    assert program.returncode == 1
    assert said.count("\n") == 1, said
    return said


@contextmanager
def running(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The program, until the block ends."""
    command = [sys.executable, "-m", "gateway"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


def answers(url: str) -> str:
    """The body, empty while nobody answers."""
    try:
        with urlopen(url) as answer:
            return str(answer.read().decode())
    except URLError:
        return ""
