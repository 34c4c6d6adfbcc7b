"""A private PostgreSQL server for the tests: Debian's programs, a folder of its own, loopback only."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from infra.local import pidfile, programs
from infra.local.ports import LOOPBACK, free_port
from tests.bench.program import descendants
from tests.programs import is_alive
from tests.waiting import until

#: PostgreSQL refuses to run as root.
_ACCOUNT = "postgres"
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "max_connections": "200",
    "shared_buffers": "64MB",
    # Tests kill programs, never the machine's power: what the system has in its cache is not lost.
    "fsync": "off",
    "log_min_messages": "warning",
}
#: How the names of the servers' folders begin.
FOLDER = "tidings-postgres-"
#: Files in memory, where Linux has them, and bytes that must be free there: containers are often given next to nothing.
_MEMORY, _ROOM = Path("/dev/shm"), 2 * 1024**3  # a folder of our own is made in it
#: As much of a log as there is room for.
_IN_MEMORY = {"max_wal_size": "256MB"}


class Postgres:
    """One server process and its data."""

    def __init__(self, home: Path | None = None, **settings: str) -> None:
        self._settings = {**_SETTINGS, **settings}
        # Not pytest's own temporary folder, which other accounts may not enter.
        self.folder = Path(tempfile.mkdtemp(prefix=FOLDER, dir=home))
        self.port = free_port(28000 + os.getpid() % 1000 * 4)
        self._server: subprocess.Popen[bytes] | None = None

    @classmethod
    def quick(cls) -> "Postgres":
        """One for a thousand small databases: each is some 300 files, which a disk is slow to make and to remove."""
        if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM:
            return cls(_MEMORY, **_IN_MEMORY)
        return cls()

    def start(self) -> None:
        """Make the data folder and start the server."""
        if os.geteuid() == 0:
            shutil.chown(self.folder, _ACCOUNT)
        with (self.folder / "initdb.log").open("wb") as log:
            options = ["-U", _ACCOUNT, "--auth=trust", "-E", "UTF8", "--locale=C", "-N"]
            command = [*_program("initdb"), "-D", self._data, *options]
            subprocess.run(command, check=True, stdout=log, stderr=log, **self._account())
        self.resume()

    def resume(self) -> None:
        """Start the server on the data that it has."""
        options = [word for key, value in self._settings.items() for word in ("-c", f"{key}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            command = [*_program("postgres"), "-D", self._data, "-k", str(self.folder), "-p", str(self.port), *options]
            self._server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **self._account())
        pidfile.write(self.folder / "server.pid", self._server.pid)
        until(self._answers, seconds=60, what=f"PostgreSQL's answer ({self.folder}/server.log)")

    def stop(self) -> None:
        """End the server and remove its data; does nothing the second time."""
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def halt(self) -> None:
        """End the server in order; its data stay."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)  # fast shutdown, which ends sessions
            self._server.wait(30)
            self._server = None

    def kill(self) -> None:
        """End all of the server's processes as a crash would; its data stay as they are in the system's cache."""
        assert self._server is not None
        family = descendants(self._server.pid)
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._server.wait(30)
        # A child that still holds the shared memory would keep the next server from starting.
        until(lambda: not any(is_alive(pid) for pid in family), what="the end of PostgreSQL's processes")
        self._server = None

    def url(self, database: str) -> str:
        """SQLAlchemy's URL of a database on this server."""
        return f"postgresql+psycopg://{_ACCOUNT}@{LOOPBACK}:{self.port}/{database}"

    def create(self, name: str, template: str = "template0") -> str:
        """Make a database, and give its URL."""
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database and end the sessions on it."""
        self.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def run(self, statement: str, database: str = _ACCOUNT) -> None:
        """Run a statement outside any transaction."""
        with psycopg.connect(
            host=LOOPBACK, port=self.port, user=_ACCOUNT, dbname=database, autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _answers(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, (self.folder / "server.log").read_text()
        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _account(self) -> dict[str, Any]:
        as_other = {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []} if os.geteuid() == 0 else {}
        return {"cwd": self.folder, "stdin": subprocess.DEVNULL, **as_other}


def _program(name: str) -> list[str]:
    found = programs.postgresql(name)
    assert found is not None, f"{name} is missing though PostgreSQL was installed"
    return [str(found)]
