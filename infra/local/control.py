"""Looks after an `up` from outside: starts one that stays behind, shows what runs, stops it."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.local import output, pidfile, record
from infra.local.leftovers import end_leftovers
from infra.local.places import Places
from infra.local.plan import ROOT
from infra.local.readiness import says_ready
from infra.local.record import Process, Record

#: `up` stops all within 15 seconds; after that it is stuck.
_PATIENCE = 16.0
_POLL = 0.05


def running(places: Places) -> Record | None:
    """What runs as it is at this moment, None when no `up` does."""
    known = record.read(places.record) if pidfile.read(places.supervisor) else None
    if known is None:
        return None
    with ThreadPoolExecutor(len(known.processes)) as side_by_side:
        return known.model_copy(update={"processes": list(side_by_side.map(_as_it_is, known.processes))})


def detach(places: Places, *, watch: bool) -> int:
    """Start an `up` that stays behind and show its lines until all is ready; gives 0 then, or its exit code."""
    output.rotate(places)
    log = places.log("up")
    command = [sys.executable, "-m", "infra", "up", "--to-logs", *(["--reload"] if watch else [])]
    with log.open("wb") as lines:
        process = subprocess.Popen(  # noqa: S603  # ourselves
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=lines, stderr=lines, start_new_session=True
        )
    try:
        return _follow(process, log, places)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise


def down(places: Places) -> list[str]:
    """Stop the `up` that runs, and give the names of what was stopped."""
    supervisor = pidfile.read(places.supervisor)
    if supervisor is None:
        return end_leftovers(places)
    known = record.read(places.record)
    names = [process.name for process in known.processes] if known else ["up"]
    _signal(supervisor, signal.SIGTERM)
    _signal(supervisor, signal.SIGCONT)  # one that was frozen would not hear
    if not _ends(places, _PATIENCE):
        pidfile.end(places.supervisor, 0)
        end_leftovers(places)
    return names


def _follow(process: "subprocess.Popen[bytes]", log: Path, places: Places) -> int:
    shown = 0
    while True:
        ended = process.poll()
        now = record.read(places.record)
        is_ready = now is not None and pidfile.read(places.supervisor) == process.pid and now.is_ready()
        shown += _show(log, shown)
        if ended is not None:
            return ended
        if is_ready:
            return 0
        time.sleep(_POLL)


def _show(log: Path, shown: int) -> int:
    """Show the whole lines that came since `shown` bytes; gives how many bytes these are."""
    with log.open("rb") as file:
        file.seek(shown)
        news = file.read()
    whole = news[: news.rfind(b"\n") + 1]
    sys.stdout.write(whole.decode(errors="replace"))
    sys.stdout.flush()
    return len(whole)


def _as_it_is(process: Process) -> Process:
    """A program that was ready may be alive and still unable to work, its broker being away, say."""
    if process.state == "ready" and process.probe is not None and not says_ready(process.probe):
        return process.model_copy(update={"state": "starting"})
    return process


def _ends(places: Places, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while pidfile.read(places.supervisor) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
