"""The phases of one run: warm up, idle latency, load with the consumers at work, and a backlog drained."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from infra.errors import TidingsError
from tests.bench.effects import Effects, must_accept
from tests.bench.figures import Figures, Round, percentile
from tests.bench.load import Order, Posted
from tests.bench.phases import Phases
from tests.bench.program import ROOT

#: Registrations before anything counts.
WARM_UP = 64
#: Mean seconds between two POSTs of the idle phase.
IDLE_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Size:
    """How much is posted."""

    registrations: int = 2000
    idle: int = 100
    clients: int = 32


@dataclass(frozen=True, slots=True)
class Posting:
    """What came of one phase of posting: seconds, and accepted registrations per second."""

    name: str
    rate: float
    p50: float
    p99: float
    first: float
    answers: list[Posted]


class Measuring(Phases[Size]):
    """One side on one database, measured once."""

    def measure(self) -> Round:
        """All phases, in the order in which they are least in each other's way."""
        self._running.wait()
        self._running.start_consumers()
        self._phase("warm", WARM_UP)
        figures = Figures(**self._idle(), **self._load(), **self._backlog())
        return Round(figures, self._wrong)

    def _idle(self) -> dict[str, float]:
        posted, effects = self._phase("idle", self._size.idle, clients=1, pause=IDLE_PAUSE)
        arrived = effects.mailed_at
        waits = [arrived[one.email] - one.sent for one in posted.answers if one.email in arrived]
        found = {"idle_p50": percentile(waits, 0.5), "idle_p90": percentile(waits, 0.9), "idle_post_p50": posted.p50}
        self._say(f"idle: a mail after {1000 * found['idle_p50']:.1f} ms (p50)")
        return found

    def _load(self) -> dict[str, float]:
        meter = self._meter()
        posted, effects = self._phase("load", self._size.registrations)
        spent = meter()
        per_1000 = 1000 / len(posted.answers)
        self._say(
            f"accepted {posted.rate:.0f}/s, p99 {1000 * posted.p99:.0f} ms, {spent.own * per_1000:.1f} s CPU per 1,000"
        )
        return {
            "accepted_per_s": posted.rate,
            "post_p50": posted.p50,
            "post_p99": posted.p99,
            "done_per_s": len(posted.answers) / (effects.last - posted.first),
            "cpu_per_1000": spent.own * per_1000,
            "servers_cpu_per_1000": spent.servers * per_1000,
            "disturbed": spent.disturbed,
        }

    def _backlog(self) -> dict[str, float]:
        self._running.stop_consumers()
        self._watch.begin()
        posted = self._post("backlog", self._size.registrations)
        started = time.time()
        self._running.start_consumers()
        effects = self._through(posted.name, posted.answers)
        drained = len(posted.answers) / (effects.last - effects.first)
        self._say(f"consumers stopped: accepted {posted.rate:.0f}/s; then drained {drained:.0f}/s")
        return {
            "alone_accepted_per_s": posted.rate,
            "alone_post_p50": posted.p50,
            "alone_post_p99": posted.p99,
            "drain_per_s": drained,
            "drain_from_start": effects.last - started,
        }

    def _phase(self, name: str, count: int, *, clients: int = 0, pause: float = 0.0) -> tuple[Posting, Effects]:
        self._watch.begin()
        posted = self._post(name, count, clients, pause)
        return posted, self._through(posted.name, posted.answers)

    def _post(self, name: str, count: int, clients: int = 0, pause: float = 0.0) -> Posting:
        order = Order(self._running.place.http_port, name, count, clients or self._size.clients, pause)
        posted = run(order)
        must_accept(posted)
        took = [one.answered - one.sent for one in posted]
        first = min(one.sent for one in posted)
        rate = sum(one.status == 201 for one in posted) / (max(one.answered for one in posted) - first)
        return Posting(name, rate, percentile(took, 0.5), percentile(took, 0.99), first, posted)


def run(order: Order) -> list[Posted]:
    """Post what is ordered, from a process of its own.

    Raises:
        TidingsError: that process failed.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        cwd=ROOT,
        input=json.dumps(asdict(order)),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise TidingsError(f"The load generator ended with {ended.returncode}: its last words are above.")
    return [Posted(**one) for one in json.loads(ended.stdout)]
