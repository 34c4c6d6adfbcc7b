"""The servers that both sides use in turn: one RabbitMQ node, one PostgreSQL, one mail sink, all private."""

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from infra.local import pidfile
from infra.local.mailsink import witness
from infra.local.node import Node, Ports
from infra.local.ports import answers, free_port
from tests.bench.program import Program, cpu_of
from tests.bench.sides import Place
from tests.brokers import BrokerApi
from tests.postgres import Postgres
from tests.waiting import until

#: Where to look for free ports; Linux hands none of these out to outgoing connections.
FIRST_PORT = 26000


class Servers:
    """Started once for all runs; each run is given a virtual host and a database of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        first = FIRST_PORT + os.getpid() % 100 * 10
        self._node = Node(folder / "rabbitmq", Ports(first, first + 1, first + 2, first + 3))
        # The tests' server does not wait for the disk; here the commits of both sides must survive power loss.
        self._postgres = Postgres(fsync="on")
        self._smtp_port = free_port(first + 4)
        self._sink: Program | None = None
        self._mailbox = folder / "mail"
        self._log_read = 0
        self._mails: list[tuple[str, float]] = []

    def start(self) -> None:
        """Start all and wait until they answer."""
        self._node.start(wait=True)
        self._postgres.start()
        options = ["--folder", str(self._mailbox), "--port", str(self._smtp_port)]
        self._sink = Program(["infra.local.mailsink", *options], {}, self._folder / "mailsink.log")
        until(lambda: answers(self._smtp_port), seconds=20, what=f"the mail sink's answer ({self._sink.log})")

    def stop(self) -> None:
        """Stop what was started."""
        if self._sink is not None:
            self._sink.stop()
        self._postgres.stop()
        self._node.stop()

    def place(self, side: str, database: str, number: int) -> Place:
        """A fresh virtual host, database and folder for one run."""
        name = f"{side}_{database}_{number}"
        folder = self._folder / name
        folder.mkdir()
        url = f"sqlite:///{folder / 'bench.db'}" if database == "sqlite" else self._postgres.create(name)
        http = free_port(FIRST_PORT + 1000)
        return Place(
            folder=folder,
            database=url,
            amqp=BrokerApi(self._node).create_vhost(name),
            smtp=f"smtp://127.0.0.1:{self._smtp_port}",
            http_port=http,
            probe_port=free_port(http + 1),
        )

    def cpu(self) -> float:
        """CPU seconds of all servers so far."""
        pids = (self._node.pid, pidfile.read(self._postgres.folder / "server.pid"))
        return sum(cpu_of(pid) for pid in pids if pid is not None) + (self._sink.cpu() if self._sink else 0.0)

    def mails(self) -> Sequence[tuple[str, float]]:
        """All mails so far: recipient, and when the sink had taken it (time.time())."""
        with witness(self._mailbox).open("rb") as log:
            log.seek(self._log_read)
            whole, newline, _ = log.read().rpartition(b"\n")
        self._log_read += len(whole) + len(newline)
        for line in whole.splitlines():
            entry = json.loads(line)
            at = datetime.fromisoformat(entry["time"]).timestamp()
            self._mails.extend((recipient, at) for recipient in entry["to"])
        return self._mails
