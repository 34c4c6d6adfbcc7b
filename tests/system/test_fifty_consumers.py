"""Fifty consumers in one worker process: what they cost while nothing happens, and that none stops the others."""

import os
import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pika
import pytest
from sqlalchemy import func, select

from events.clock import MinutePassed
from events.envelope import announce, encode
from events.users import UserRegistered
from infra.database.engine import connect
from infra.database.tables import Inbox, table
from infra.local.ports import free_port
from infra.local.readiness import says_ready
from tests.bench.program import Program, cpu_of, descendants
from tests.brokers import BrokerApi
from tests.installation import ROOT
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.alone]
COUNT = 50
#: Seconds over which the CPU time is taken, and how much of one core it may be.
SPAN, SHARE = 12.0, 0.02
#: MiB that are resident.
MEMORY = 250
_INBOX = table(Inbox)
_MODULE = """
from events.clock import MinutePassed
from infra.subscriptions import Context, subscribe

@subscribe("many-{number}", to=MinutePassed)
def handle(event: MinutePassed, context: Context) -> None:
    "Do nothing."
"""
_STUCK = """
import time
from pathlib import Path
from events.users import UserRegistered
from infra.subscriptions import Context, subscribe

@subscribe("stuck", to=UserRegistered)
def handle(event: UserRegistered, context: Context) -> None:
    "Wait for a file."
    while not Path({file!r}).exists():
        time.sleep(0.05)
"""


class Worker:
    """The consumers program with the fifty, as `./tidings consumers` runs it."""

    def __init__(self, folder: Path, database: str, broker: str) -> None:
        self.gate = folder / "gate"
        self.broker = broker
        self._database = connect(database)
        package = folder / "fifty"
        package.mkdir()
        for number in range(1, COUNT):
            (package / f"number{number}.py").write_text(textwrap.dedent(_MODULE.format(number=number)))
        (package / "stuck.py").write_text(textwrap.dedent(_STUCK.format(file=str(self.gate))))
        (package / "__init__.py").touch()
        port = free_port(31000)
        settings = {
            "DATABASE_URL": database,
            "RABBITMQ_URL": broker,
            "SMTP_URL": "smtp://127.0.0.1:9",
            "CONSUMER_PACKAGES": "fifty",
            "PROBE_PORT": str(port),
            "STATE_DIR": str(folder),
        }
        environment = {f"TIDINGS_{name}": value for name, value in settings.items()} | {
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"
        }
        began = time.monotonic()
        self.program = Program(["consumers", "--job-processes", "0"], environment, folder / "consumers.log")
        until(lambda: self._is_ready(port), seconds=60, what=f"readiness ({self.program.log})")
        print(f"READY after {time.monotonic() - began:.1f} s")  # noqa: T201

    @property
    def pids(self) -> list[int]:
        """The parent, and the worker that it has forked."""
        return descendants(self.program.pid)

    def stop(self) -> None:
        self.gate.touch()
        self.program.stop()
        self._database.close()

    def send(self, routing_key: str, body: bytes) -> None:
        with pika.BlockingConnection(pika.URLParameters(self.broker)) as connection:
            connection.channel().basic_publish("events", routing_key, body, pika.BasicProperties(delivery_mode=2))

    def handled(self, event_id: str) -> int:
        """How many of them have handled an event."""
        query = select(func.count()).select_from(_INBOX).where(_INBOX.c.event_id == event_id)
        with self._database.reading() as session:
            return int(session.connection().execute(query).scalar_one())

    def _is_ready(self, port: int) -> bool:
        self.program.must_run()
        return says_ready(f"http://127.0.0.1:{port}/readyz")


@pytest.fixture
def worker(tmp_path: Path, sqlite_url: str, vhost: str) -> Iterator[Worker]:
    running = Worker(tmp_path, sqlite_url, vhost)
    yield running
    running.stop()


def resident(pid: int) -> float:
    """MiB."""
    (line,) = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def test_they_share_two_connections_and_little_memory_and_rest_while_nothing_happens(
    worker: Worker, broker_api: BrokerApi, vhost: str
) -> None:
    _, working = worker.pids
    until(lambda: broker_api.connections(vhost), what="the connections in the HTTP API")
    assert 2 >= len(broker_api.connections(vhost))

    before, end = cpu_of(working), time.monotonic() + SPAN
    until(lambda: time.monotonic() >= end, seconds=2 * SPAN, what="the end of the span")
    share = (cpu_of(working) - before) / SPAN
    memory = [resident(pid) for pid in worker.pids]
    print(f"IDLE {share:.2%} of a core, {memory[1]:.0f} MiB, with the parent {sum(memory):.0f} MiB")  # noqa: T201
    assert MEMORY > sum(memory)
    assert SHARE > share


def test_one_whose_lane_is_full_of_handlers_that_hang_does_not_stop_the_others(worker: Worker) -> None:
    for _ in range(20):
        event = UserRegistered(user_id=uuid4(), name="Ada", email="ada@example.com")
        worker.send("user.registered", encode(announce(event, source="/test")))
    ticks = [announce(MinutePassed(due_at=datetime(2026, 1, 1, 0, n, tzinfo=UTC)), source="/test") for n in range(5)]
    for tick in ticks:
        worker.send("minute.passed", encode(tick))
    until(lambda: all(worker.handled(tick.id) >= COUNT - 1 for tick in ticks), seconds=20, what="the others' work")
