"""Which process a folder's server is, kept in a file: one left over by a crash is found, and no stranger is hit."""

import os
import signal
import subprocess
import time
from pathlib import Path

from infra.errors import ConfigurationError

#: How often a dying process is looked at, in seconds.
_POLL = 0.05


def write(path: Path, pid: int) -> None:
    """Record a process that was just started."""
    path.write_text(f"{pid} {_started(pid)}\n")


def read(path: Path) -> int | None:
    """The recorded process if it still runs, else None; a later process with the same number does not count."""
    try:
        pid, _, started = path.read_text().strip().partition(" ")
    except OSError:
        return None
    return int(pid) if pid.isdigit() and started and _started(int(pid)) == started else None


def end(path: Path, seconds: float) -> None:
    """End the recorded process: TERM, and KILL when it is not gone after `seconds`.

    Raises:
        ConfigurationError: it belongs to another user.
    """
    deadline = time.monotonic() + seconds
    _signal(path, signal.SIGTERM)
    while read(path) is not None:
        if time.monotonic() > deadline:
            _signal(path, signal.SIGKILL)
        time.sleep(_POLL)
    path.unlink(missing_ok=True)


def _signal(path: Path, number: signal.Signals) -> None:
    pid = read(path)
    if pid is not None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            raise ConfigurationError(
                f"Process {pid} ({path.stem}) belongs to another user: stop it as that user."
            ) from None


def _started(pid: int) -> str:
    """When the process was started, in the system's own words; empty when it is gone or only waits to be reaped."""
    if Path("/proc/self/stat").exists():
        return _started_on_linux(pid)
    command = ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # a number is no danger
    state, _, started = answer.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


def _started_on_linux(pid: int) -> str:
    try:
        # proc(5): the name, in parentheses, may hold anything; state is the first field behind it, starttime the 20th.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
