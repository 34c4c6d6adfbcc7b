"""Where programs crash: one database, one virtual host and one mail server, and the three programs on them."""

import http.client
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select, update

from infra.database import replays
from infra.database.engine import connect
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import Effect, Lease, table
from infra.faults import EXIT
from infra.local.ports import LOOPBACK, free_port
from infra.settings import environment_without_settings
from tests.brokers import BrokerApi
from tests.drill import journal
from tests.foreground import Program
from tests.installation import ask
from tests.system.crash_points.witnesses import Witnesses
from tests.waiting import until

_EFFECT, _LEASE, _LETTER = table(Effect), table(Lease), table(DeadLetter)
#: Everybody's own consumers, then those of the crash points.
CONSUMERS = ("welcome-email", "activity-log", "crash-journal", "crash-batch")
#: What dies does no jobs, whose process would be started some three hundred times for nothing.
_MODULES = {
    "gateway": ("gateway",),
    "consumers": ("consumers", "--job-processes", "0"),
    "consumers and jobs": ("consumers",),
    "scheduler": ("tests.system.crash_points.clock",),
}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to register; the name says what the consumers make of it."""

    name: str

    @property
    def email(self) -> str:
        return f"{self.name.lower().replace(' ', '.')}@example.com"


class Site:
    """Kept for many crashes; each leaves it as if there had been none."""

    def __init__(self, folder: Path, database_url: str, api: BrokerApi, first_port: int) -> None:
        self.api = api
        self.vhost = api.create_vhost(f"crash-{secrets.token_hex(4)}")
        self.database = connect(database_url)
        journal.create(self.database)
        self.witnesses = Witnesses(self.database, api, self.vhost, folder / "mailbox")
        #: Everybody whose registration was answered, and the event that the answer named.
        self.accepted: dict[Person, str] = {}
        #: How often a process died between the commit of a mail's intent and that of its mark, by the mail's key.
        self.windows: Counter[str] = Counter()
        self._ports = _ports(first_port, "gateway", "consumers", "scheduler", "mail")
        self._folder = folder
        self._environment = self._everywhere(database_url)
        self._programs = {name: self._program(name, *module) for name, module in _MODULES.items()}
        self._programs["mail"] = self._mail_server()
        self._prepare()

    def people(self, kind: str, count: int) -> list[Person]:
        """New people whose names begin with this word."""
        return [Person(f"{kind} {secrets.token_hex(4)}") for _ in range(count)]

    def run(self, *names: str, **settings: str) -> None:
        """Have these programs run, and ready; those that do not run yet are given these settings too."""
        stopped = [self._programs[name] for name in names if not self._programs[name].is_running]
        for program in stopped:
            program.start(**settings)
        for name in names:
            self._programs[name].await_ready()

    def kill(self, *names: str) -> None:
        """End these programs at once: their good order is other tests' concern, and takes seconds."""
        for name in names:
            self._programs[name].kill()
        self._end_holds()

    def crash(self, name: str, fault: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Run a program until the fault ends it."""
        self.kill(name)
        program = self._programs[name]
        program.start(fault=f"{fault}:1:exit")
        meanwhile()
        # Dramatiq's parent process, whose exit code it is, may take two seconds to see that its worker is gone.
        program.wait(lambda: "fault injected" in program.said() or not program.is_running, f"the death at {fault}")
        assert name == "consumers" or program.exit_code() == EXIT, f"{fault}: see {program.log}"
        assert "fault injected" in program.said() or program.exit_code() == EXIT, f"{fault}: see {program.log}"
        self.kill(name)
        self.windows.update(self.witnesses.unsent().keys())

    def replay(self, *people: Person) -> None:
        """Have their dead letters delivered again."""
        events = [self.accepted[person] for person in people]
        with self.database.transaction() as session:
            rows = session.connection().execute(select(_LETTER.c.id).where(_LETTER.c.event_id.in_(events)))
            assert len(people) == replays.begin(session, [str(row[0]) for row in rows])

    def exit_code(self, name: str, fault: str) -> int | None:
        """How a program ends that the fault ended; None if it does not."""
        self._programs[name].start(fault=f"{fault}:1:exit")
        code = self._programs[name].exit_code(15)
        self.windows.update(self.witnesses.unsent().keys())
        return code

    def is_running(self, name: str) -> bool:
        """Whether a program has not ended."""
        return self._programs[name].is_running

    def said(self, name: str) -> str:
        """What a program wrote since its start."""
        return self._programs[name].said()

    def register(self, *people: Person) -> None:
        """Insist until each is answered, as a good client does: the same request with the same key."""
        for person in people:
            answer = until(lambda: self._try(person), seconds=30, what=f"an answer for {person.email}")  # noqa: B023
            assert answer is not None
            self.accepted[person] = answer

    def try_to_register(self, *people: Person) -> None:
        """Ask once for each, while the gateway may die under it."""
        gateway = self._programs["gateway"]
        until(lambda: gateway.answers or not gateway.is_running, seconds=30, what="the gateway's start")
        for person in people:
            self._try(person)

    def close(self) -> None:
        """End everything."""
        for program in self._programs.values():
            program.kill()
        self.database.close()
        self.api.delete_vhost(self.vhost)

    def _try(self, person: Person) -> str | None:
        body = {"name": person.name, "email": person.email}
        client = http.client.HTTPConnection(LOOPBACK, self._ports["gateway"], timeout=15)
        try:
            status, answer = ask(client, "POST", "/users", body, key=person.email)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            client.close()
        if status == 500:  # an error was injected, and a good client asks again
            return None
        assert status == 201, answer
        return str(answer["event_id"])

    def _end_holds(self) -> None:
        """As if the time had gone by for which leases (3 s) and effects (20 s) belong to the process that died."""
        past = datetime.now(UTC) - timedelta(seconds=1)
        with self.database.transaction() as session:
            session.connection().execute(update(_LEASE).values(expires_at=past))
            session.connection().execute(update(_EFFECT).where(_EFFECT.c.state != "sent").values(busy_until=past))

    def _prepare(self) -> None:
        self.run("mail")
        declaring = self._program("declare", "consumers", "declare")
        declaring.start()
        assert declaring.exit_code() == 0, f"The queues were not declared: see {declaring.log}"

    def _mail_server(self) -> Program:
        port, folder = self._ports["mail"], self._folder
        command = ("infra.local.mailsink", "--port", str(port), "--folder", str(folder / "mailbox"))
        return Program(command, self._environment, folder / "mail.log", f"smtp://{LOOPBACK}:{port}")

    def _program(self, name: str, *command: str) -> Program:
        port = self._ports.get(name, 0)
        environment = self._environment | {"TIDINGS_PROBE_PORT": str(port)}
        return Program(command, environment, self._folder / f"{name}.log", f"http://{LOOPBACK}:{port}/readyz")

    def _everywhere(self, database_url: str) -> dict[str, str]:
        settings = {
            "DATABASE_URL": database_url,
            "RABBITMQ_URL": self.vhost,
            "SMTP_URL": f"smtp://{LOOPBACK}:{self._ports['mail']}",
            "STATE_DIR": str(self._folder),
            "OPERATOR_TOKEN": secrets.token_hex(),
            "LOG_FORMAT": "json",
            "HTTP_PORT": str(self._ports["gateway"]),
            "CONSUMER_PACKAGES": "tests.system.crash_points.consumers",
        }
        return environment_without_settings() | {f"TIDINGS_{name}": value for name, value in settings.items()}


def _ports(first: int, *names: str) -> dict[str, int]:
    ports: dict[str, int] = {}
    for name in names:
        ports[name] = free_port(first, ports.values())
    return ports
