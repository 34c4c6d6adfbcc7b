"""The two sides: how each is prepared, started, told where its servers are, and stopped."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from infra.database.migrations import migrate
from infra.errors import TidingsError
from tests.bench.program import Program, run

#: Threads of the one worker process, on both sides.
THREADS = 8
#: Seconds that a gateway may take until it answers.
START = 40.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where one run happens: everything in it is its own, but for the broker's node and the mail sink."""

    folder: Path
    database: str
    amqp: str
    smtp: str
    http_port: int
    probe_port: int


@dataclass(frozen=True, slots=True)
class Side:
    """One side as data."""

    name: str
    environment: Callable[[Place], Mapping[str, str]]
    prepare: Callable[[Place], None]
    gateway: Callable[[Place], list[str]]
    consumers: tuple[str, ...]
    #: Path that the gateway answers with 200 when it is ready.
    ready: str


def _plain_environment(place: Place) -> Mapping[str, str]:
    smtp = urlsplit(place.smtp)
    return {
        "PLAIN_DATABASE_URL": place.database,
        "PLAIN_RABBITMQ_URL": place.amqp,
        "PLAIN_SMTP_HOST": str(smtp.hostname),
        "PLAIN_SMTP_PORT": str(smtp.port),
    }


def _plain_gateway(place: Place) -> list[str]:
    options = ["--port", str(place.http_port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return ["uvicorn", "tests.bench.plain.app:app", *options]


def _our_environment(place: Place) -> Mapping[str, str]:
    return {
        "TIDINGS_DATABASE_URL": place.database,
        "TIDINGS_RABBITMQ_URL": place.amqp,
        "TIDINGS_SMTP_URL": place.smtp,
        "TIDINGS_HTTP_PORT": str(place.http_port),
        "TIDINGS_PROBE_PORT": str(place.probe_port),
        "TIDINGS_STATE_DIR": str(place.folder),
        "TIDINGS_LOG_FORMAT": "json",
    }


def _prepare_ours(place: Place) -> None:
    migrate(place.database)
    run(["consumers", "declare"], _our_environment(place), place.folder / "declare.log")


PLAIN = Side(
    name="plain",
    environment=_plain_environment,
    prepare=lambda place: None,
    gateway=_plain_gateway,
    consumers=("dramatiq", "tests.bench.plain.worker", "--processes", "1", "--threads", str(THREADS)),
    ready="/docs",
)
OURS = Side(
    name="ours",
    environment=_our_environment,
    prepare=_prepare_ours,
    gateway=lambda place: ["gateway"],
    consumers=("consumers",),
    ready="/readyz",
)


class Running:
    """One side at work: its gateway always, its consumers when they are wanted."""

    def __init__(self, side: Side, place: Place) -> None:
        self.side = side
        self.place = place
        self._environment = side.environment(place)
        side.prepare(place)
        self.gateway = self._start("gateway", side.gateway(place))
        self.consumers: Program | None = None

    def wait(self) -> None:
        """Until the gateway is ready.

        Raises:
            TidingsError: it ended, or was not ready in time.
        """
        url = f"http://127.0.0.1:{self.place.http_port}{self.side.ready}"
        deadline = time.monotonic() + START
        while not _answers(url):
            self.gateway.must_run()
            if time.monotonic() > deadline:
                raise TidingsError(f"{self.side.name}: {url} was not ready within {START:g} s; see {self.gateway.log}")
            time.sleep(0.1)

    def start_consumers(self) -> None:
        """Start the worker process; it is ready some time later."""
        self.consumers = self._start("consumers", list(self.side.consumers))

    def stop_consumers(self) -> None:
        """Stop the worker process in order."""
        if self.consumers is not None:
            self.consumers.stop()
            self.consumers = None

    def cpu(self) -> float:
        """CPU seconds of gateway and consumers so far."""
        return self.gateway.cpu() + (self.consumers.cpu() if self.consumers else 0.0)

    def must_run(self) -> None:
        """Notice at once when a program has died, instead of waiting for effects that cannot come.

        Raises:
            TidingsError: a program of this side has ended.
        """
        self.gateway.must_run()
        if self.consumers:
            self.consumers.must_run()

    def stop(self) -> None:
        """Stop both."""
        self.stop_consumers()
        self.gateway.stop()

    def _start(self, name: str, arguments: list[str]) -> Program:
        return Program(arguments, self._environment, self.place.folder / f"{name}.log")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
