"""A consumer is added while people register, and given its past: every event of the log exactly once, whatever dies."""

import contextlib
import http.client
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import select

from events.users import UserRegistered
from infra.database import consumers
from infra.database.engine import Database
from infra.database.tables import EventLog, table
from infra.local.node import Node
from infra.local.ports import LOOPBACK, free_port
from infra.settings import environment_without_settings
from tests import pasts
from tests.bench.late.witness import CONSUMER, TABLE
from tests.brokers import BrokerApi
from tests.foreground import Program
from tests.mailbox import Mailbox
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
_LOG = table(EventLog)
#: Far from the ports of the other tests' programs.
_FIRST_PORT = 28_000 + os.getpid() % 150 * 10
#: Registrations before the consumer is added.
BEFORE = 150


class Site:
    """A gateway and consumers on one database and one virtual host."""

    def __init__(self, folder: Path, database_url: str, amqp: str, smtp: str) -> None:
        self.http = free_port(_FIRST_PORT)
        self._ports = [self.http]
        self._folder = folder
        settings = {"DATABASE_URL": database_url, "RABBITMQ_URL": amqp, "SMTP_URL": smtp, "STATE_DIR": str(folder)}
        settings |= {"HTTP_PORT": str(self.http), "LOG_FORMAT": "json"}
        self._environment = environment_without_settings() | {
            f"TIDINGS_{name}": value for name, value in settings.items()
        }
        self.gateway = Program(("gateway",), self._environment, folder / "gateway.log", self._url(self.http))
        self.consumers = self.program("consumers")
        self.late = self.program("late")

    def program(self, name: str) -> Program:
        """A consumers program, with a probe of its own."""
        port = free_port(_FIRST_PORT + 1, self._ports)
        self._ports.append(port)
        environment = self._environment | {"TIDINGS_PROBE_PORT": str(port)}
        return Program(("consumers",), environment, self._folder / f"{name}.log", self._url(port))

    def close(self) -> None:
        """End everything."""
        for program in (self.gateway, self.consumers, self.late):
            program.kill()

    def _url(self, port: int) -> str:
        return f"http://{LOOPBACK}:{port}/readyz"


class Registrations:
    """People who register one after the other, whether the gateway answers or not."""

    def __init__(self, port: int) -> None:
        self.accepted = 0
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        number = 0
        while not self._over.wait(0.02):
            number += 1
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._register(number)

    def _register(self, number: int) -> None:
        with contextlib.closing(http.client.HTTPConnection(LOOPBACK, self._port, timeout=10)) as client:
            body = json.dumps({"name": "Ada", "email": f"ada-{number}@example.com"})
            client.request("POST", "/users", body, {"content-type": "application/json"})
            self.accepted += client.getresponse().status == 201


@pytest.fixture
def site(
    tmp_path: Path, database: Database, database_url: str, installed_rabbitmq: Node, mailbox: Mailbox
) -> Iterator[Site]:
    """Everything but the consumer that comes later."""
    with database.transaction() as session:
        TABLE.create(session.connection())
    api = BrokerApi(installed_rabbitmq)
    amqp = api.create_vhost(f"past-{tmp_path.name[:30]}")
    made = Site(tmp_path, database_url, amqp, mailbox.url)
    try:
        made.consumers.start()
        made.consumers.await_ready()
        made.gateway.start()
        made.gateway.await_ready()
        yield made
    finally:
        made.close()
        api.delete_vhost(amqp)


def differences(database: Database) -> tuple[int, int]:
    """Events of the log that the late consumer has not handled, and those that it has more than once."""
    with database.reading() as session:
        query = select(_LOG.c.event_id).where(_LOG.c.type == UserRegistered.TYPE)
        log = set(session.connection().execute(query).scalars())
        times = Counter(session.connection().execute(select(TABLE.c.event_id)).scalars())
    return len(log - times.keys()), sum(each > 1 for each in times.values())


def told_anew(database: Database) -> set[bool]:
    with database.reading() as session:
        return set(session.connection().execute(select(TABLE.c.is_replay).distinct()).scalars())


def is_recorded(database: Database) -> Any:
    with database.reading() as session:
        return CONSUMER in {row.consumer for row in consumers.declared(session)}


def test_a_consumer_that_is_added_under_load_has_every_event_once(database: Database, site: Site) -> None:
    with Registrations(site.http) as people:
        until(lambda: people.accepted >= BEFORE, seconds=60, what="registrations")
        site.late.start(consumer_packages="tests.bench.late.alone")
        until(lambda: is_recorded(database), seconds=60, what="the record of the new consumer")
        operation = pasts.begin(database, CONSUMER, rate=50)
        pasts.await_sent(database, operation, 50, seconds=60)
        site.gateway.kill()  # and the relay with it
        site.late.kill()
        site.gateway.start()
        site.late.start(consumer_packages="tests.bench.late.alone")
        until(lambda: pasts.look(database, operation).state == "done", seconds=120, what="the backfill's end")
        accepted = people.accepted
        until(lambda: people.accepted > accepted + 20, seconds=60, what="registrations after it")
    until(lambda: differences(database)[0] == 0, seconds=60, what="the late consumer's last event")
    assert (0, 0) == differences(database)
    assert {True, False} == told_anew(database)
    found = pasts.look(database, operation)
    assert (found.total, found.total, 0) == (found.sent, found.handled, found.failed)
    assert found.total >= BEFORE
