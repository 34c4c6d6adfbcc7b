"""Worker processes for jobs beside a relay, on one database, one virtual host and one mail server; they may die."""

import contextlib
import os
import secrets
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pika
from sqlalchemy import select

from events.envelope import Envelope, encode
from infra.database import outbox
from infra.database.engine import connect
from infra.database.tables import Inbox, table
from infra.errors import ConfigurationError, DatabaseUnavailable
from infra.local.ports import LOOPBACK
from infra.probes import require_free
from infra.settings import environment_without_settings
from tests import jobs, relays
from tests.brokers import BrokerApi
from tests.drill import journal
from tests.foreground import Program
from tests.mailbox import Mailbox
from tests.system.jobs.consumers.steps import KIND
from tests.waiting import until

_INBOX = table(Inbox)
#: Seconds for what a start on a busy machine and a wait in a tier come to.
PATIENCE = 60.0


class Site:
    """Made at once; `close` ends everything."""

    def __init__(self, folder: Path, database_url: str, api: BrokerApi, port: int, mailbox: Mailbox) -> None:
        self._api, self._port = api, port
        self.vhost = api.create_vhost(f"jobs-{secrets.token_hex(4)}")
        self.database = connect(database_url)
        self.mailbox = mailbox
        journal.create(self.database)
        settings = {
            "DATABASE_URL": database_url,
            "RABBITMQ_URL": self.vhost,
            "SMTP_URL": mailbox.url,
            "STATE_DIR": str(folder),
            "LOG_FORMAT": "json",
            "PROBE_PORT": str(port),
            "CONSUMER_PACKAGES": "tests.system.jobs.consumers",
        }
        environment = environment_without_settings() | {f"TIDINGS_{name}": each for name, each in settings.items()}
        probe = f"http://{LOOPBACK}:{port}/readyz"

        def program(name: str, *command: str) -> Program:
            return Program(("consumers", *command), environment, folder / f"{name}.log", probe)

        self.workers = {number: program("jobs", *_only_jobs(number)) for number in (1, 2)}
        declaring = program("declare", "declare")
        declaring.start()
        assert declaring.exit_code() == 0, f"The queues were not declared: see {declaring.log}"

    def kill(self, worker: Program) -> None:
        """End a program at once; its processes take a moment to die, and with them goes the port of its probes."""
        worker.kill()
        until(self._port_is_free, seconds=PATIENCE, what="the death of all its processes")

    @contextlib.contextmanager
    def relaying(self) -> Iterator[None]:
        """Meanwhile what is announced is published."""
        with relays.running(self.database, self.vhost):
            yield

    def ask(self, **parameters: Any) -> Envelope:
        """Ask for a job."""
        asked = jobs.ask(self.database, KIND, **parameters)
        with self.database.transaction() as session:
            outbox.add(session, asked)
        return asked

    def send_again(self, asked: Envelope) -> None:
        """Another copy of the message, as a broker that was cut off from a worker delivers it to the next one."""
        with self._api.channel(self.vhost) as channel:
            channel.confirm_delivery()
            channel.basic_publish("", KIND, encode(asked), pika.BasicProperties(delivery_mode=2), mandatory=True)

    def job(self, asked: Envelope) -> Any:
        """The job's row."""
        return jobs.row_of(self.database, asked)

    def worker_of(self, asked: Envelope) -> int:
        """Number of the process that has the job."""
        return int(self.job(asked).owner.partition("#")[2].partition("-")[0])

    def workers_of(self, asked: Iterable[Envelope]) -> list[int]:
        """Numbers of the processes that are at work on these."""
        return [self.worker_of(each) for each in asked if self.job(each).state == "running"]

    def freeze(self, asked: Envelope) -> int:
        """Stop the process that has the job for longer than its lease lasts; gives its number."""
        worker = self.worker_of(asked)
        until(lambda: self._freeze(worker, asked), seconds=PATIENCE, what="a moment without a lock")
        return worker

    def steps(self, asked: Envelope) -> list[int]:
        """The steps that are committed, in their order."""
        subject = str(asked.data.model_dump()["job_id"])
        return [row.number for row in journal.rows(self.database, KIND) if row.subject == subject]

    def begun_at(self, asked: Envelope) -> list[int]:
        """The steps that its stints began at."""
        subject = str(asked.data.model_dump()["job_id"])
        return sorted({row.attempt for row in journal.rows(self.database, KIND) if row.subject == subject})

    def mails(self, asked: Envelope) -> Counter[int]:
        """How often the mail of each step came; one that came twice with the same Message-ID counts as one."""
        name = f".{asked.data.model_dump()['job_id']}@"
        sent = {(str(mail["To"]), str(mail["Message-ID"])) for mail in self.mailbox.messages()}
        return Counter(int(to.partition(".")[0]) for to, _ in sent if name in to)

    def await_end(self, *asked: Envelope) -> None:
        """Wait until they have succeeded, and their messages are settled."""
        for each in asked:
            until(lambda: self.job(each).state == "succeeded", seconds=PATIENCE, what="the job's end")  # noqa: B023
            until(lambda: self._state(each) == "handled", seconds=PATIENCE, what="its mails")  # noqa: B023
        until(lambda: not self._api.messages(self.vhost, KIND), seconds=PATIENCE, what="the end of its messages")

    def close(self) -> None:
        """End everything."""
        for worker in self.workers.values():
            worker.kill()
        self.database.close()
        self._api.delete_vhost(self.vhost)

    def _port_is_free(self) -> bool:
        try:
            require_free(self._port)
        except ConfigurationError:
            return False
        return True

    def _freeze(self, worker: int, asked: Envelope) -> bool:
        os.kill(worker, signal.SIGSTOP)
        try:
            jobs.change(self.database, asked, busy_until=datetime.now(UTC) - timedelta(seconds=1))
        except DatabaseUnavailable:  # it was just beating
            os.kill(worker, signal.SIGCONT)
            return False
        return True

    def _state(self, asked: Envelope) -> str | None:
        with self.database.reading() as session:
            query = select(_INBOX.c.state).where(_INBOX.c.event_id == asked.id)
            return session.connection().execute(query).scalar_one_or_none()


def _only_jobs(number: int) -> tuple[str, ...]:
    return ("--processes", "0", "--job-processes", str(number))
