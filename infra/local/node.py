"""A private RabbitMQ node of the installed server, in a folder of its own and on loopback only."""

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.errors import BrokerUnavailable, ConfigurationError
from infra.local import accounts, pidfile, programs, rabbitmq_configuration
from infra.local.accounts import OPERATOR, USER, VHOST
from infra.local.greetings import speaks_amqp
from infra.local.ports import LOOPBACK, answers, free_port
from infra.local.rabbitmq_configuration import Ports
from infra.local.readiness import says_ready

__all__ = ["NODE_NAME", "Moved", "Node", "Ports"]

#: Never derived from the host's name, else a folder would be useless after the host is renamed.
NODE_NAME = "tidings@localhost"
#: How often it is asked whether it is ready, in seconds.
_POLL = 0.1
_ERROR_LINE = re.compile(r"^(?:\S+ \S+ \[error\] \S+|ERROR:|Error during startup:) *(\w.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Moved:
    """A port that others hold, and what was taken in its stead."""

    what: str
    wish: int
    port: int


@dataclass
class Node:
    """One broker process and its name server, which keep their data in `folder` from start to start."""

    folder: Path
    wish: Ports = field(default_factory=Ports)
    #: Where the server lies; another root than the machine's own needs the rights of root.
    root: Path = programs.ROOT
    name: str = NODE_NAME
    #: Whether it starts a name server of its own; the nodes of a cluster share one, at the port that they wish for.
    own_epmd: bool = True
    _ports: Ports | None = field(default=None, init=False)
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()

    def start(self, *, wait: bool = False) -> None:
        """Start the broker and give back at once, or with `wait` when it is ready.

        A broker that a crash left over in the folder is ended first. A node that is started again keeps its ports.

        Raises:
            ConfigurationError: no server is installed, or no port is free.
            BrokerUnavailable: with `wait`: see `wait_ready`.
        """
        server, epmd = programs.rabbitmq("rabbitmq-server", self.root), programs.epmd(self.root)
        if server is None or epmd is None:
            raise ConfigurationError("No RabbitMQ server is installed: install one, or set TIDINGS_RABBITMQ_URL.")
        self.stop()
        rabbitmq_configuration.write(self.folder, self.ports, self.passwords)
        if self.own_epmd:
            self._run("epmd", [str(epmd), "-port", str(self.ports.epmd), "-address", LOOPBACK])
        self._await_epmd()
        self._run("rabbitmq", [str(server)])
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Wait until AMQP and the management API both answer.

        Raises:
            BrokerUnavailable: the broker stopped, or did not answer within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if self.pid is None:
                raise BrokerUnavailable(f"RabbitMQ stopped while it booted: {self._reason()} (see {self.log}).")
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"RabbitMQ was not ready within {seconds:g} s: see {self.log}.")
            time.sleep(_POLL)

    def stop(self, seconds: float = 10.0) -> None:
        """End the broker in order, by force after `seconds`, then its name server, whichever process started them."""
        for name in ("rabbitmq", "epmd"):
            pidfile.end(self._pid_file(name), seconds)
            child = self._children.pop(name, None)
            if child is not None:
                child.wait()

    def is_ready(self) -> bool:
        """Whether AMQP and the management API both answer now."""
        return (
            self.pid is not None
            and speaks_amqp(self.ports.amqp)
            and says_ready(f"{self.management}/api/whoami")  # with a login: another node may have taken the port
        )

    @property
    def pid(self) -> int | None:
        """The broker's process, None when it does not run."""
        child = self._children.get("rabbitmq")
        if child is not None:
            child.poll()
        return pidfile.read(self._pid_file("rabbitmq"))

    @property
    def ports(self) -> Ports:
        """The ports in use: found free at the first `start`, or when first asked for, and kept from then on."""
        if self._ports is None:
            self._ports = _free_ports(self.wish, ("amqp", "management", "distribution", *["epmd"] * self.own_epmd))
        return self._ports

    @property
    def moved(self) -> list[Moved]:
        """The wishes for AMQP and management that could not be met."""
        both = (("AMQP", self.wish.amqp, self.ports.amqp), ("management", self.wish.management, self.ports.management))
        return [Moved(what, wish, port) for what, wish, port in both if wish != port]

    @property
    def amqp(self) -> str:
        """URL of the virtual host, with its password."""
        return f"amqp://{USER}:{self.passwords[USER]}@{LOOPBACK}:{self.ports.amqp}/{VHOST}"

    @property
    def management(self) -> str:
        """URL of the management UI and API, with the operator's password."""
        return f"http://{OPERATOR}:{self.passwords[OPERATOR]}@{LOOPBACK}:{self.ports.management}"

    @property
    def passwords(self) -> dict[str, str]:
        """Password by user name: made once, kept in a file that only its owner can read."""
        return accounts.passwords(self.folder / "passwords.json")

    @property
    def log(self) -> Path:
        """The broker's own log file."""
        return self.folder / "log" / f"{self.name}.log"

    def environment(self) -> Mapping[str, str]:
        """All that the broker and its tools are given: nothing of the caller's environment, no file of the system's."""
        server = programs.rabbitmq("rabbitmq-server", self.root)
        return rabbitmq_configuration.environment(self.name, self.folder, self.ports, server)

    def tool(self, name: str) -> list[str]:
        """Command line of a tool of the same version, to be run in `environment`.

        Raises:
            ConfigurationError: there is none of that name.
        """
        tool = programs.rabbitmq(name, self.root)
        if tool is None:
            raise ConfigurationError(f"RabbitMQ has no {name} here: install the whole server.")
        return programs.inside(self.root, self.folder, [str(tool)])

    def _run(self, name: str, command: list[str]) -> None:
        with (self.folder / "log" / f"{name}.out").open("wb") as output:
            # A session of its own: Ctrl-C in a terminal goes to whoever started the node, who then ends it in order.
            child = subprocess.Popen(  # noqa: S603  # a program that was found, and arguments of ours
                programs.inside(self.root, self.folder, command), env=self.environment(), cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._children[name] = child
        pidfile.write(self._pid_file(name), child.pid)

    def _await_epmd(self) -> None:
        """Else the broker starts a name server of its own, which outlives it."""
        deadline = time.monotonic() + 10
        while not answers(self.ports.epmd):
            child = self._children.get("epmd")
            if time.monotonic() > deadline or (child is not None and child.poll() is not None):
                raise BrokerUnavailable(f"Erlang's name server did not start: see {self.folder}/log/epmd.out.")
            time.sleep(0.02)

    def _pid_file(self, name: str) -> Path:
        return self.folder / f"{name}.pid"

    def _reason(self) -> str:
        """Why it stopped, in one line, out of the pages that an Erlang program says on its way out."""
        said = (self.folder / "log" / "rabbitmq.out").read_text(errors="replace")
        if "eaddrinuse" in said or "dist_port_already_used" in said:
            return "another program took one of its ports meanwhile, so try again"
        errors = [match.group(1) for match in _ERROR_LINE.finditer(said)]
        return next((error for error in errors if error != "BOOT FAILED"), "its log may say why")


def _free_ports(wish: Ports, names: Sequence[str]) -> Ports:
    found = wish
    taken: set[int] = set()
    for name in names:
        port = free_port(getattr(wish, name), taken)
        taken.add(port)
        found = replace(found, **{name: port})
    return found
