"""A scheduler whose wall clock a test steps, by libfaketime; its timers run on, as those of a real machine do."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import update

from events.clock import HeartbeatTicked
from infra.database import schedules
from infra.database.engine import Database
from infra.database.schedule_tables import Schedule
from infra.database.schedules import Definition
from infra.database.tables import table
from infra.local import programs
from tests.installation import ROOT
from tests.waiting import until

#: The data of the events of these schedules: what they are is nobody's business here.
_DATA = {"due_at": "2026-01-01T00:00:00Z"}


class Clock:
    """The wall clock of the programs that are started with its environment."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = timedelta()
        self.step(timedelta())

    @property
    def now(self) -> datetime:
        """What it shows."""
        return datetime.now(UTC) + self._offset

    def step(self, by: timedelta) -> None:
        """Set it forward or back."""
        self._offset += by
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{self._offset.total_seconds():+f}")
        draft.replace(self._file)  # at once: it is read at each look at the clock

    def set(self, to: datetime) -> None:
        """Set it to this moment, from which it goes on."""
        self.step(to - self.now)

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to be started with."""
        return {
            "LD_PRELOAD": str(programs.faketime()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "PYTHONFAULTHANDLER": "1",
        }


class Scheduler:
    """A real one, in a process of its own."""

    def __init__(self, clock: Clock, log: Path, **settings: str) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        own = {key: value for key, value in os.environ.items() if not key.startswith("TIDINGS_")}
        named = {"LOG_FORMAT": "json", "STATE_DIR": str(log.parent), **settings}
        self._environment = own | clock.environment | {f"TIDINGS_{key}": value for key, value in named.items()}

    def start(self) -> None:
        """Start it, and wait until it says that it is ready."""
        said = self.said()
        with self._log.open("ab") as file:
            command = [sys.executable, "-m", "scheduler"]
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=file, stderr=file)
        until(lambda: "scheduler ready" in self.said()[len(said) :], seconds=60, what=f"the scheduler ({self._log})")

    def said(self) -> str:
        """Its log."""
        return self._log.read_text() if self._log.exists() else ""

    def freeze(self) -> None:
        """Stop the process as it stands."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a frozen one run."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it as an operator does."""
        self._signal(signal.SIGTERM)
        assert self._process is not None
        try:
            code = self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGABRT)  # where each thread stands is in the log then
            code = self._process.wait()
        assert code == 0, f"it did not end: {self._log}"
        self._process = None

    def kill(self) -> None:
        """End it, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        assert self._process.poll() is None, f"the scheduler ended: {self._log}"
        self._process.send_signal(number)


@contextmanager
def running(clock: Clock, folder: Path, **settings: str) -> Iterator[Scheduler]:
    """A scheduler that is gone at the end, whatever the test did."""
    scheduler = Scheduler(clock, folder / "scheduler.log", **settings)
    try:
        scheduler.start()
        yield scheduler
    finally:
        scheduler.kill()


def add(database: Database, definitions: Iterable[Definition], since: datetime) -> None:
    """Make schedules that count from this moment, by whatever clock."""
    row = table(Schedule)
    for each in definitions:
        database.run(lambda session, each=each: schedules.add(session, each))  # type: ignore[misc]
        change = update(row).where(row.c.name == each.name).values(counts_from=since, version=row.c.version + 1)
        database.run(lambda session, change=change: session.connection().execute(change))  # type: ignore[misc]


def of_an_operator(name: str, trigger: dict[str, Any], **changes: Any) -> Definition:
    """A schedule made at run time."""
    return Definition(name=name, trigger=trigger, type=HeartbeatTicked.TYPE, data=_DATA, **changes)
