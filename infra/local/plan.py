"""What `./tidings up` will run: programs, ports and addresses, all settled before anything starts."""

import re
import sys
from dataclasses import astuple, dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import infra
from infra.local.child import Child, Launch
from infra.local.node import Node
from infra.local.output import Output
from infra.local.places import Places
from infra.local.ports import LOOPBACK, free_port
from infra.local.record import Record
from infra.settings import Settings, environment

#: What is started last and stopped first, in this order.
PROGRAMS = ("gateway", "consumers", "scheduler")
#: The ports that are wished for beside the gateway's, which is a setting.
_WISHES = {"consumers": 8101, "scheduler": 8102, "mail": 2525}
#: The folder that holds our packages.
ROOT = Path(infra.__file__).resolve().parents[1]
#: User and password in front of a database's host: SQLAlchemy's own reading, by which a password may hold `/` and `?`.
_CREDENTIALS = re.compile(r"[^:/@]*(:[^@]*)?@")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is decided; `node` and the mail sink only where no server is given."""

    settings: Settings
    places: Places
    ports: dict[str, int]
    node: Node | None

    @property
    def rabbitmq(self) -> str:
        """URL of the broker."""
        return self.node.amqp if self.node else self.settings.rabbitmq

    @property
    def has_mail_sink(self) -> bool:
        """Whether mails go to the built-in sink."""
        return self.settings.smtp_url is None

    @property
    def smtp(self) -> str:
        """URL of the mail server."""
        return f"smtp://{LOOPBACK}:{self.ports['mail']}" if self.has_mail_sink else self.settings.smtp

    @property
    def http(self) -> str:
        """URL of the gateway."""
        return f"http://{LOOPBACK}:{self.ports['gateway']}"

    def moves(self) -> list[str]:
        """One line for each port that others hold."""
        wish, port = self.settings.http_port, self.ports["gateway"]
        lines = [f"Port {wish} is taken: the gateway listens on {port}."] if wish not in (0, port) else []
        moved = self.node.moved if self.node else []
        return lines + [f"Port {one.wish} is taken: RabbitMQ's {one.what} listens on {one.port}." for one in moved]

    def mail_sink(self, output: Output) -> Child:
        """The built-in mail sink."""
        where = ["--port", str(self.ports["mail"]), "--folder", str(self.places.mailbox)]
        return self._child("mail", ["infra.local.mailsink", *where], output, self.smtp)

    def migration(self, output: Output) -> Child:
        """Brings the database up to date and ends."""
        return self._child("migrate", ["infra.migrate"], output)

    def declaration(self, output: Output) -> Child:
        """Makes the queues and ends."""
        return self._child("declare", ["consumers", "declare"], output)

    def program(self, name: str, output: Output) -> Child:
        """One of `PROGRAMS`."""
        return self._child(name, [name], output, f"http://{LOOPBACK}:{self.ports[name]}/readyz")

    def record(self) -> Record:
        """All addresses."""
        settings, node = self.settings, self.node
        return Record(
            http=self.http,
            amqp=node.amqp if node else without_password(self.rabbitmq),
            management=node.management if node else None,
            smtp=self.smtp if self.has_mail_sink else without_password(self.smtp),
            mailbox=str(self.places.mailbox) if self.has_mail_sink else None,
            database=shown_database(settings.database),
            operator_token_file=None if settings.operator_token else str(settings.token_file),
        )

    def _child(self, name: str, module: list[str], output: Output, probe: str | None = None) -> Child:
        command = (sys.executable, "-m", *module)
        pid_file = self.places.pid_file(name)
        return Child(Launch(name, command, self._environment(name), ROOT, pid_file, probe), output)

    def _environment(self, name: str) -> dict[str, str]:
        """Each program is told everything, so that none depends on what another wrote."""
        log_format = self.settings.log_format
        return environment(
            database_url=self.settings.database,
            rabbitmq_url=self.rabbitmq,
            management_url=(self.node.management if self.node else self.settings.management_url) or "",
            smtp_url=self.smtp,
            operator_email=self.settings.operator or "",
            http_port=self.ports["gateway"],
            probe_port=self.ports.get(name, 0),
            state_dir=self.settings.state_dir,
            log_format="console" if log_format == "auto" else log_format,
        )


def draw(settings: Settings, places: Places) -> Plan:
    """Decide what runs and where; a port that others hold gives way to the next free one.

    Raises:
        ConfigurationError: no port is free.
    """
    node = Node(places.rabbitmq) if settings.rabbitmq_url is None else None
    taken = set(astuple(node.ports)) if node else set()
    ports: dict[str, int] = {}
    for name, wish in {"gateway": settings.http_port or 8000, **_WISHES}.items():
        ports[name] = free_port(wish, taken)
        taken.add(ports[name])
    _ = settings.token  # made now, so that its file is there before anybody is told of it
    return Plan(settings, places, ports, node)


def without_password(url: str) -> str:
    """The URL without user and password: those of servers elsewhere are not ours to show."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else url


def shown_database(url: str) -> str:
    """A database's URL without user, password and options, any of which may hold a secret."""
    # By hand: `status` comes through here, and importing SQLAlchemy would take longer than all else that it does.
    scheme, _, rest = url.partition("://")
    credentials = _CREDENTIALS.match(rest)
    rest = rest[credentials.end() :] if credentials else rest
    where, slash, name = rest.partition("?")[0].partition("/")
    return f"{scheme}://{where.rpartition('@')[2]}{slash}{name}"
