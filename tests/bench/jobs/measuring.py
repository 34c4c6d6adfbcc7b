"""The phases of one run: warm up, jobs asked for while the worker is at work, and a backlog drained."""

import time
from dataclasses import dataclass

from infra.errors import TidingsError
from tests.bench import measuring
from tests.bench.figures import percentile
from tests.bench.jobs.digesting import KIND
from tests.bench.jobs.figures import Figures, Round
from tests.bench.jobs.sides import TOKEN
from tests.bench.load import Order, Posted
from tests.bench.phases import Phases

#: Jobs before anything counts.
WARM_UP = 64
_BODY = '{"kind": "' + KIND + '", "parameters": {"number": %(number)d, "size": 4096}}'


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked for."""

    jobs: int = 2000
    clients: int = 32


class Measuring(Phases[Size]):
    """One side on one database, measured once."""

    def measure(self) -> Round:
        """All phases."""
        self._running.wait()
        self._running.start_consumers()
        self._watch.begin()
        self._through("warm", self._post(WARM_UP))
        return Round(Figures(**self._load(), **self._backlog()), self._wrong)

    def _load(self) -> dict[str, float]:
        self._watch.begin()
        meter = self._meter()
        posted = self._post(self._size.jobs)
        effects = self._through("load", posted)
        spent = meter()
        per_1000 = 1000 / len(posted)
        first = min(one.sent for one in posted)
        done = len(posted) / (effects.last - first)
        self._say(f"asked for {_rate(posted):.0f}/s, done {done:.0f}/s, {spent.own * per_1000:.1f} s CPU per 1,000")
        return {
            "asked_per_s": _rate(posted),
            **_latencies("asked", posted),
            "done_per_s": done,
            "cpu_per_1000": spent.own * per_1000,
            "servers_cpu_per_1000": spent.servers * per_1000,
            "disturbed": spent.disturbed,
        }

    def _backlog(self) -> dict[str, float]:
        self._running.stop_consumers()
        self._watch.begin()
        posted = self._post(self._size.jobs)
        meter, started = self._meter(), time.time()
        self._running.start_consumers()
        effects = self._through("backlog", posted)
        spent = meter().own * 1000 / len(posted)
        drained = len(posted) / (effects.last - effects.first)
        self._say(f"worker stopped: asked for {_rate(posted):.0f}/s; then drained {drained:.0f}/s")
        return {
            "alone_asked_per_s": _rate(posted),
            **_latencies("alone_asked", posted),
            "drain_per_s": drained,
            "drain_from_start": effects.last - started,
            "drain_cpu_per_1000": spent,
        }

    def _post(self, count: int) -> list[Posted]:
        clients, port = self._size.clients, self._running.place.http_port
        posted = measuring.run(Order(port, "job", count, clients, path="/jobs", token=TOKEN, body=_BODY))
        if not any(one.status == 202 for one in posted):
            raise TidingsError(f"No job was accepted: {[one.status for one in posted[:5]]} …")
        return posted


def _rate(posted: list[Posted]) -> float:
    first, last = min(one.sent for one in posted), max(one.answered for one in posted)
    return sum(one.status == 202 for one in posted) / (last - first)


def _latencies(name: str, posted: list[Posted]) -> dict[str, float]:
    took = [one.answered - one.sent for one in posted]
    return {f"{name}_p50": percentile(took, 0.5), f"{name}_p99": percentile(took, 0.99)}
