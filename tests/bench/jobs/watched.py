"""Whether those who read a job's state slow the job: `python -m tests.bench.jobs.watched [--rate 1000]`.

A job that waits shows what the reads do to its process; one that computes shares two processors with the gateway
and with the readers themselves, so the same readers of something that no job has to do with (`/livez`) are measured
beside it, and each line says how many seconds of CPU who took.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.jobs.reading import Read, Reading
from tests.bench.jobs.sides import OURS_JOBS, TOKEN
from tests.bench.program import ROOT, busy_seconds
from tests.bench.servers import Servers
from tests.bench.sides import Running
from tests.waiting import until

#: Kind, and what one of its parts is.
JOBS = {"bench-waiting": 80, "bench-computing": 1_800}
#: Who reads meanwhile: nobody, readers of the job, readers of something that no job has to do with.
READERS = ("nobody", "of the job", "of /livez")
START = 90.0
#: Seconds between looks whether a job has ended: so few that they count as nobody's.
PAUSE = 0.5
#: Seconds of CPU, by who took them.
Cpu = dict[str, float]


class Gateway:
    """What is asked of it, and what it and those beside it cost."""

    def __init__(self, running: Running, servers: Servers) -> None:
        self.port = running.place.http_port
        self._running, self._servers = running, servers

    def cpu(self) -> Cpu:
        """So far."""
        assert self._running.consumers is not None
        return {
            "gateway": self._running.gateway.cpu(),
            "consumers and job": self._running.consumers.cpu(),
            "servers": self._servers.cpu(),
            "all": busy_seconds(),
        }

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's body."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def job(self, kind: str) -> str:
        """One more job, at work; gives its path."""
        path = f"/jobs/{self.ask('POST', '/jobs', {'kind': kind, 'parameters': {'each': JOBS[kind]}})['id']}"
        until(lambda: self.ask("GET", path)["state"] == "running", seconds=START, what="the job's begin")
        return path

    def seconds(self, path: str) -> float:
        """How long a job took, once it has ended."""
        while (times := self.ask("GET", path))["finished_at"] is None:
            time.sleep(PAUSE)
        began, ended = (_moment(times[name]) for name in ("started_at", "finished_at"))
        return ended - began


def main() -> None:
    """Measure, and print a line for each."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--rate", type=float, default=1_000.0)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--database", default="sqlite", choices=["sqlite", "postgresql"])
    asked.add_argument("--niceness", default="0", help="of the process with the jobs; 10 is what it is by default")
    asked.add_argument("--kind", action="append", choices=[*JOBS], help="both, unless one is named")
    options = asked.parse_args()
    with _gateway(options.database, options.niceness) as gateway:
        for kind in options.kind or JOBS:
            found: dict[str, list[float]] = {each: [] for each in READERS}
            for _ in range(options.rounds):
                for each in READERS:
                    seconds, read = _one(gateway, kind, each, options.rate)
                    found[each].append(seconds)
                    _say(f"{kind}, readers {each}: {seconds:.2f} s; {read}")
            alone = statistics.median(found["nobody"])
            for each, times in found.items():
                _say(f"{kind}, readers {each}: median {statistics.median(times):.2f} s, "
                     f"{statistics.median(times) / alone:.2f}x of that with nobody")  # fmt: skip


def _one(gateway: Gateway, kind: str, readers: str, rate: float) -> tuple[float, str]:
    path = gateway.job(kind)
    before = gateway.cpu()
    if readers == "nobody":
        seconds, told, read = gateway.seconds(path), "", 0.0
    else:
        reading = Reading(gateway.port, path if readers == "of the job" else "/livez", TOKEN, rate)
        seconds, found = _read(reading, lambda: gateway.seconds(path))
        told, read = _told(found), found.cpu
    return seconds, f"{told}CPU s: {_spent(before, gateway.cpu(), read)}"


def _read(reading: Reading, meanwhile: Callable[[], float]) -> tuple[float, Read]:
    command = [sys.executable, "-m", "tests.bench.jobs.reading", json.dumps(asdict(reading))]
    readers = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        seconds = meanwhile()
    finally:
        readers.terminate()
        output, _ = readers.communicate()
    return seconds, Read(**json.loads(output))


def _told(read: Read) -> str:
    told = f"{read.per_s:.0f} reads/s, p50 {1000 * read.p50:.1f} ms, p99 {1000 * read.p99:.1f} ms"
    return f"{told}, not 200: {read.refused}; "


def _spent(before: Cpu, after: Cpu, readers: float) -> str:
    spent = {who: after[who] - before[who] for who in after} | {"readers": readers}
    everybody = spent.pop("all")
    spent["others"] = everybody - sum(spent.values())
    return ", ".join(f"{who} {seconds:.1f}" for who, seconds in spent.items())


@contextmanager
def _gateway(database: str, niceness: str) -> Iterator[Gateway]:
    with tempfile.TemporaryDirectory(prefix="tidings-watched-") as folder:
        servers = Servers(Path(folder))
        servers.start()
        try:
            ours = OURS_JOBS.side
            told = {"TIDINGS_JOB_NICENESS": niceness}
            side = replace(ours, environment=lambda place: {**ours.environment(place), **told})
            running = Running(side, servers.place("watched", database, 1))
            try:
                running.start_consumers()
                running.wait()
                yield Gateway(running, servers)
            finally:
                running.stop()
        finally:
            servers.stop()


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
