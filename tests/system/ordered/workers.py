"""Two worker processes of one consumers program beside a relay, on one database and one virtual host; they may die."""

import contextlib
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from sqlalchemy import func, select

from events.envelope import announce
from events.users import UserRegistered
from infra.database import outbox
from infra.database.consumer_tables import Waiting
from infra.database.engine import connect
from infra.database.recovery_tables import DeadLetter, Resend
from infra.database.tables import Inbox, Outbox, table
from infra.local.ports import LOOPBACK
from infra.settings import environment_without_settings
from tests import relays
from tests.brokers import BrokerApi
from tests.drill import journal
from tests.foreground import Program
from tests.system.ordered.consumers.ledger import CONSUMER
from tests.waiting import until

_OUTBOX, _RESEND, _WAITING = table(Outbox), table(Resend), table(Waiting)
_INBOX, _LETTER = table(Inbox), table(DeadLetter)


class Workers:
    """Made at once; `close` ends everything."""

    def __init__(self, folder: Path, database_url: str, api: BrokerApi, port: int) -> None:
        self._api = api
        self.vhost = api.create_vhost(f"ordered-{secrets.token_hex(4)}")
        self.database = connect(database_url)
        journal.create(self.database)
        settings = {
            "DATABASE_URL": database_url,
            "RABBITMQ_URL": self.vhost,
            "SMTP_URL": f"smtp://{LOOPBACK}:9",  # nobody mails here
            "STATE_DIR": str(folder),
            "LOG_FORMAT": "json",
            "PROBE_PORT": str(port),
            "SWEEP_GRACE": "3600",  # it would bring back what the order itself has lost
            "CONSUMER_PACKAGES": "tests.system.ordered.consumers",
        }
        self._environment = environment_without_settings() | {
            f"TIDINGS_{name}": each for name, each in settings.items()
        }
        self._folder = folder
        probe = f"http://{LOOPBACK}:{port}/readyz"
        command = ("consumers", "--processes", "2", "--job-processes", "0")
        self.program = Program(command, self._environment, folder / "consumers.log", probe)
        self._declare(probe)

    @contextlib.contextmanager
    def relaying(self) -> Iterator[None]:
        """Meanwhile what is announced is published."""
        with relays.running(self.database, self.vhost):
            yield

    def announce(self, subject: UUID, name: str) -> str:
        """A step of a subject; gives its event."""
        event = announce(UserRegistered(user_id=subject, name=name, email="a@example.com"), source="/test")
        with self.database.transaction() as session:
            outbox.add(session, event)
        return event.id

    def kill_one(self, chance: random.Random, **settings: str) -> None:
        """`kill -9` one of the two; the program ends by that, and is started again with these settings."""
        pid = self._program_pid
        children = [child for child in _children(pid) if "spawn_main" not in _command(child)]
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(children or [pid]), signal.SIGKILL)
        ends = time.monotonic() + 3
        until(lambda: not self.program.is_running or time.monotonic() > ends, seconds=10, what="the end")
        self.program.kill()
        self.program.start(**settings)

    def is_settled(self) -> bool:
        """Whether nothing waits or is on its way, as far as the database knows."""
        with self.database.reading() as session:
            counts = [
                session.connection().execute(select(func.count()).select_from(each)).scalar_one()
                for each in (_OUTBOX, _RESEND, _WAITING)
            ]
            open_ = select(func.count()).where(
                _INBOX.c.consumer == CONSUMER, _INBOX.c.state.in_(("retrying", "committed"))
            )
            return not any(counts) and not session.connection().execute(open_).scalar_one()

    def ended(self) -> Counter[str]:
        """How many events have ended in each state."""
        query = select(_INBOX.c.state, func.count()).where(_INBOX.c.consumer == CONSUMER).group_by(_INBOX.c.state)
        with self.database.reading() as session:
            return Counter({str(state): int(count) for state, count in session.connection().execute(query)})

    def letters(self) -> dict[str, str]:
        """Dead letters by their event."""
        query = select(_LETTER.c.event_id, _LETTER.c.id).where(_LETTER.c.consumer == CONSUMER)
        with self.database.reading() as session:
            return {str(event): str(letter) for event, letter in session.connection().execute(query)}

    def numbers(self) -> dict[str, list[int]]:
        """The steps of each subject in the order of their commits."""
        found: dict[str, list[int]] = {}
        for row in journal.rows(self.database, CONSUMER):
            found.setdefault(row.subject, []).append(row.number)
        return found

    def close(self) -> None:
        """End everything."""
        self.program.kill()
        self.database.close()
        self._api.delete_vhost(self.vhost)

    @property
    def _program_pid(self) -> int:
        process = self.program._process
        assert process is not None
        assert process.pid is not None
        return process.pid

    def _declare(self, probe: str) -> None:
        declaring = Program(("consumers", "declare"), self._environment, self._folder / "declare.log", probe)
        declaring.start()
        assert declaring.exit_code() == 0, f"The queues were not declared: see {declaring.log}"


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""
