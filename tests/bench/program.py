"""One program under measurement: started with its own log, its CPU time read from /proc, stopped by its own pid."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from infra.errors import TidingsError

#: Where `tests` and the programs are imported from.
ROOT = Path(__file__).parents[2]
#: Seconds that a program has to stop by itself after SIGTERM.
GRACE = 20.0
TICKS = os.sysconf("SC_CLK_TCK")


class Program:
    """A Python module as a process; its children count as part of it."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        """Its own process."""
        return self._process.pid

    def must_run(self) -> None:
        """Say why, when the program has ended by itself.

        Raises:
            TidingsError: with the last line of its log.
        """
        if self._process.poll() is not None:
            raise TidingsError(f"{self.log.stem} ended with {self._process.returncode}: {last_words(self.log)}")

    def cpu(self) -> float:
        """User and system seconds so far, of it and of all its children."""
        return cpu_of(self._process.pid)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to what is left after the grace time."""
        family = descendants(self._process.pid)
        self._process.terminate()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            for pid in family:
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
            self._process.wait()


def run(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Run a module to its end.

    Raises:
        TidingsError: it failed; with the last line of its log.
    """
    with log.open("ab") as output:
        ended = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if ended.returncode:
        raise TidingsError(f"{' '.join(arguments)} ended with {ended.returncode}: {last_words(log)}")


def last_words(log: Path) -> str:
    """The last line that a program wrote, and where the rest is."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"{lines[-1] if lines else 'it said nothing'} (see {log})"


def cpu_of(pid: int) -> float:
    """User and system seconds of a process, of its children alive, and of those that it has waited for."""
    total = 0.0
    for each in descendants(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(ticks) for ticks in fields[11:15])
    return total / TICKS


def descendants(pid: int) -> list[int]:
    """The process and all below it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, ()))
    return found


def busy_seconds() -> float:
    """CPU seconds that the whole machine has been busy so far: tells how much others took during a measurement."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting = ticks[3], ticks[4]
    return (sum(ticks) - idle - waiting) / TICKS
