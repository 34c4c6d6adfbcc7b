"""What the tests of the topology share: a broker that is declared, and the commands that compare it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pika
import pytest
from sqlmodel import Session

from infra import commands
from infra.database import consumers
from infra.database.engine import Database, connect
from infra.discovery import Found
from infra.rabbitmq.blocking import BlockingPublisher
from infra.rabbitmq.topology import consumer_queue_arguments
from infra.subscriptions import Subscription
from infra.topology import commands as topology
from tests.brokers import BrokerApi


@dataclass
class Stage:
    """A database that records two consumers, and a virtual host in which they are declared."""

    api: BrokerApi
    vhost: str
    database: Database
    subscriptions: list[Subscription]

    def record(self) -> None:
        """Record the consumers in the database."""
        self.write(lambda session: consumers.declare(session, self.subscriptions))

    def write(self, work: Callable[[Session], Any]) -> None:
        """Change the database."""
        with self.database.transaction() as session:
            work(session)

    def declare(self) -> None:
        """Declare on the broker what the consumers need, as programs do."""
        publisher = BlockingPublisher(self.vhost, name="test")
        try:
            publisher.inspect([(each.consumer, each.types, each.description) for each in self.subscriptions]).result(20)
        finally:
            publisher.close()

    def make_queue(self, name: str, **changed: Any) -> None:
        """A queue as an older version of the code would have made it, bound to nothing."""
        arguments = {**consumer_queue_arguments("Send a text message"), **changed}
        with self.api.channel(self.vhost) as channel:
            channel.queue_declare(name, durable=True, arguments={k: v for k, v in arguments.items() if v is not None})

    def bind(self, queue: str, key: str) -> None:
        """Bind a queue to the events of a type."""
        with self.api.channel(self.vhost) as channel:
            channel.exchange_declare("events", "topic", durable=True)
            channel.queue_bind(queue, "events", key)

    def send(self, queue: str, *bodies: bytes, **properties: Any) -> None:
        """Publish straight to a queue, confirmed."""
        with self.api.channel(self.vhost) as channel:
            channel.confirm_delivery()
            for number, body in enumerate(bodies):
                said = {"message_id": f"{queue} {number}", "delivery_mode": 2, **properties}
                channel.basic_publish("", queue, body, pika.BasicProperties(**said), mandatory=True)


@pytest.fixture
def stage(broker_api: BrokerApi, vhost: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """The settings name its database and its broker; Ada types."""
    management = broker_api.node.management
    for name, value in {"DATABASE_URL": sqlite_url, "RABBITMQ_URL": vhost, "MANAGEMENT_URL": management}.items():
        monkeypatch.setenv(f"TIDINGS_{name}", value)
    monkeypatch.setenv("LOGNAME", "ada")
    sms = Subscription("sms", ("user.registered",), _unused, description="Send a text message")
    log = Subscription("log", ("#",), _unused, description="Write it down")
    database = connect(sqlite_url)
    made = Stage(broker_api, vhost, database, [log, sms])
    monkeypatch.setattr(topology, "recorded", lambda: tuple(made.subscriptions))
    made.record()
    yield made
    database.close()


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str) -> tuple[int, str, str]:
        app = topology.made(lambda _: Found())
        code = commands.code(app, "./tidings topology", list(words))
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


def _unused(*_: Any) -> None:
    raise AssertionError("no worker runs in these tests")
