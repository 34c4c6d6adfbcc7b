"""What a drill runs: a broker behind the proxy, a database, a mail server, the three programs, and the load."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from infra.database import consumers
from infra.database.engine import connect
from infra.database.migrations import migrate
from infra.local.accounts import VHOST
from infra.local.node import Node, Ports
from infra.local.places import Places
from infra.local.plan import PROGRAMS
from infra.local.ports import LOOPBACK, free_port
from infra.settings import environment
from infra.subscriptions import EVERY_TYPE
from infra.version import version
from tests import roots
from tests.bench.program import run
from tests.brokers import BrokerApi
from tests.drill import journal
from tests.drill.load import Load
from tests.drill.programs import Programs
from tests.drill.proxy import Proxy
from tests.mailbox import Mailbox
from tests.postgres import Postgres

__all__ = ["TOKEN", "VHOST", "Choice", "Stage"]

#: The operator's.
TOKEN = "drill"
#: Where to look for free ports; Linux hands none of these out to outgoing connections.
FIRST_PORT = 24000


@dataclass(frozen=True, slots=True)
class Choice:
    """What the drill is on, and how hard."""

    database: str = "sqlite"
    rabbitmq: str = "3.10"
    #: Registrations per second.
    rate: float = 25.0
    #: Seconds after which the sweep sends again what a consumer has not got.
    sweep_grace: float = 5.0


class Stage:
    """Made at once, started by `start`, taken down by `stop`."""

    def __init__(self, folder: Path, choice: Choice, say: Callable[[str], None]) -> None:
        self.choice = choice
        self.folder = folder
        self.mailbox = Mailbox()
        self.postgres = Postgres() if choice.database == "postgresql" else None
        #: Copies of messages that are no event, each of which some consumer has to park.
        self.hostile = 0
        self._say = say
        self._places = Places(folder / "state").make()
        self._first = FIRST_PORT + os.getpid() % 100 * 12

    def start(self) -> None:
        """Start the servers, then the programs, then the load."""
        self.mailbox.start()
        self._say(f"starting RabbitMQ {self.choice.rabbitmq} and {self.choice.database}")
        self.node = self._start_node()
        self.api = BrokerApi(self.node)
        self.proxy = Proxy(self.node.ports.amqp)
        self.proxy.start()
        self.database_url = self._start_database()
        self.database = connect(self.database_url)
        journal.create(self.database)
        ports = self._ports()
        settings = self._environment(ports["gateway"])
        run(["consumers", "declare"], settings, self.folder / "declare.log")
        self._say("starting gateway, consumers and scheduler")
        self.programs = Programs(self._places, settings, ports, self._say)
        self.programs.start()
        self.http_port = ports["gateway"]
        self.load = Load(self.http_port, rate=self.choice.rate)
        self.load.start()

    def stop(self) -> None:
        """Stop whatever was started."""
        for name in ("load", "programs", "proxy"):
            if (started := getattr(self, name, None)) is not None:
                started.stop()
        if hasattr(self, "database"):
            self.database.close()
        if hasattr(self, "node"):
            self.node.stop(seconds=0)
        if self.postgres is not None:
            self.postgres.stop()
        self.mailbox.stop()

    def pause(self, seconds: float) -> None:
        """Let time go by, as a fault needs it."""
        time.sleep(seconds)

    def listeners(self, event_type: str) -> list[str]:
        """The consumers of a type."""
        with self.database.reading() as session:
            return [row.consumer for row in consumers.declared(session) if {event_type, EVERY_TYPE} & set(row.types)]

    def versions(self) -> dict[str, str]:
        """What the drill was on."""
        query = "SELECT sqlite_version()" if self.postgres is None else "SHOW server_version"
        with self.database.reading() as session:
            database = str(session.connection().execute(text(query)).scalar_one())
        kind = "SQLite" if self.postgres is None else "PostgreSQL"
        return {"Tidings": version(), "RabbitMQ": roots.version(self.node.root), kind: database.split(maxsplit=1)[0]}

    def _start_node(self) -> Node:
        first = self._first
        ports = Ports(first, first + 1, first + 2, first + 3)
        folder = self.folder / "rabbitmq"
        if self.choice.rabbitmq != "3.10":
            return roots.started(lambda root: Node(folder, ports, root=root), say=self._say)
        node = Node(folder, ports)
        node.start(wait=True)
        return node

    def _start_database(self) -> str:
        if self.postgres is None:
            url = f"sqlite:///{self.folder / 'drill.db'}"
        else:
            self.postgres.start()
            url = self.postgres.create("drill")
        migrate(url)
        return url

    def _ports(self) -> dict[str, int]:
        ports: dict[str, int] = {}
        for name in PROGRAMS:
            ports[name] = free_port(self._first + 4, ports.values())
        return ports

    def _environment(self, http_port: int) -> dict[str, str]:
        through_proxy = self.node.amqp.replace(f":{self.node.ports.amqp}/", f":{self.proxy.port}/")
        return environment(
            database_url=self.database_url,
            rabbitmq_url=through_proxy,
            smtp_url=f"smtp://{LOOPBACK}:{self.mailbox.port}",
            http_port=http_port,
            state_dir=self._places.folder,
            log_format="json",
            consumer_packages="tests.drill.consumers",
            sweep_grace=self.choice.sweep_grace,
            operator_token=TOKEN,
        )
