"""What registrations notice of a cleaning of a million old rows: `python -m tests.bench.cleaning [--postgres]`."""

import argparse
import json
import math
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from itertools import count
from pathlib import Path

from infra.cleaning.cleaning import Cleaned, Cleaning
from infra.database.engine import Database, connect
from infra.database.migrations import migrate
from infra.local.ports import answers, free_port
from infra.settings import load
from tests.bench.figures import percentile
from tests.bench.load import Order, Posted
from tests.bench.program import ROOT, Program
from tests.oldlogs import fill
from tests.postgres import Postgres
from tests.waiting import until

AGE = timedelta(days=200)
#: Registrations before anything counts.
WARM_UP = 200
#: Mean seconds between an answer and the client's next registration.
PAUSE = 0.03
#: Rows of an event: in the log, in the inbox of two consumers, in the activity log.
ROWS = 4


def main() -> None:
    """Measure, and print a line for each figure."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--seconds", type=int, default=20, help="of the load without a cleaning")
    asked.add_argument("--clients", type=int, default=8)
    asked.add_argument("--postgres", action="store_true")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder, _database_url(Path(folder), options.postgres) as url:
        migrate(url)
        database = connect(url)
        _fill(database, options.rows // ROWS)
        _measure(database, url, Path(folder), options)
        database.close()


@contextmanager
def _database_url(folder: Path, postgres: bool) -> Iterator[str]:
    if not postgres:
        yield f"sqlite:///{folder / 'bench.db'}"
        return
    server = Postgres(fsync="on")
    try:
        server.start()
        yield server.create("bench")
    finally:
        server.stop()


def _fill(database: Database, events: int) -> None:
    began = time.perf_counter()
    fill(database, events, AGE)
    print(f"filled in {time.perf_counter() - began:.0f} s")  # noqa: T201


def _measure(database: Database, url: str, folder: Path, options: argparse.Namespace) -> None:
    port = free_port(26_500)
    settings = {"DATABASE_URL": url, "HTTP_PORT": str(port), "STATE_DIR": str(folder), "OPERATOR_TOKEN": "bench"}
    # Nobody is there to publish to: the registrations are all that the machine has to do beside the cleaning.
    settings |= {"RABBITMQ_URL": "amqp://127.0.0.1:9/", "SMTP_URL": "smtp://127.0.0.1:9"}
    environment = {f"TIDINGS_{name}": value for name, value in settings.items()}
    gateway = Program(["gateway"], environment, folder / "gateway.log")
    try:
        until(lambda: answers(port), seconds=30, what="the gateway's answer")
        clients = options.clients
        _post(Order(port, "warm", WARM_UP, clients, PAUSE))
        _show("without", _post(Order(port, "without", int(options.seconds * clients / PAUSE / 1.5), clients, PAUSE)))
        _show("with", _post_while_cleaning(database, port, clients, url))
    finally:
        gateway.stop()


def _post_while_cleaning(database: Database, port: int, clients: int, url: str) -> list[Posted]:
    """Load upon load until the cleaning is over; what is posted after its end does not count."""
    posted: list[Posted] = []
    peak, cleaned = _Peak(url), _Background(database)
    for number in count():
        posted += _post(Order(port, f"with-{number}", 50 * clients, clients, PAUSE))
        if cleaned.has_ended:
            break
    peak.stop()
    _tell(cleaned.result, cleaned.seconds, peak.megabytes)
    return [one for one in posted if cleaned.began < one.sent < cleaned.began + cleaned.seconds]


def _post(order: Order) -> list[Posted]:
    command = [sys.executable, "-m", "tests.bench.load"]
    ended = subprocess.run(
        command, cwd=ROOT, input=json.dumps(asdict(order)), stdout=subprocess.PIPE, text=True, check=True
    )
    return [Posted(**one) for one in json.loads(ended.stdout)]


def _show(what: str, posted: list[Posted]) -> None:
    times = [(one.answered - one.sent) * 1000 for one in posted if one.status == 201]
    figures = ", ".join(f"p{part} {percentile(times, part / 100):.1f}" for part in (50, 90, 99))
    print(f"{what}: {len(times)} of {len(posted)} registered, ms: {figures}, most {max(times):.1f}")  # noqa: T201


class _Background:
    """A cleaning in a thread of this process, which is another one than the gateway's."""

    def __init__(self, database: Database) -> None:
        self.began = time.time()
        self.seconds = math.inf
        self._database = database
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        self.result = Cleaning(self._database, load().retention).run()
        self.seconds = time.time() - self.began


def _tell(cleaned: Cleaned, seconds: float, megabytes: float) -> None:
    rows = sum(cleaned.removed.values())
    print(f"cleaned {rows:,} rows in {seconds:.1f} s, {rows / seconds:,.0f}/s: {dict(cleaned.removed)}")  # noqa: T201
    if megabytes:
        print(f"the write-ahead log had {megabytes:.1f} MB at most")  # noqa: T201


class _Peak:
    """The size of SQLite's write-ahead log, looked at again and again."""

    def __init__(self, url: str) -> None:
        if url.startswith("sqlite:"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else it has the size that the filling needed
        self._file = Path(url.removeprefix("sqlite:///") + "-wal")
        self._ended = threading.Event()
        self.megabytes = 0.0
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            with suppress(OSError):
                self.megabytes = max(self.megabytes, self._file.stat().st_size / 1e6)


if __name__ == "__main__":
    main()
