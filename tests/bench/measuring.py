"""The phases of one run: warm up, idle latency, load with the consumers at work, and a backlog drained."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from infra.errors import TidingsError
from tests.bench.effects import Effects, Watch, must_accept
from tests.bench.figures import Figures, Round, percentile
from tests.bench.load import Order, Posted
from tests.bench.program import ROOT, busy_seconds
from tests.bench.sides import Running

#: Registrations before anything counts.
WARM_UP = 64
#: Mean seconds between two POSTs of the idle phase.
IDLE_PAUSE = 0.1

Say = Callable[[str], None]


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


class Measuring:
    """One side on one database, measured once."""

    def __init__(self, running: Running, watch: Watch, servers_cpu: Callable[[], float], size: Size, say: Say) -> None:
        self._running = running
        self._watch = watch
        self._servers_cpu = servers_cpu
        self._size = size
        self._say = say
        self._wrong: list[str] = []

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
        before, started = self._spent(), time.time()
        posted, effects = self._phase("load", self._size.registrations)
        elapsed = time.time() - started
        own, servers, busy = (after - start for after, start in zip(self._spent(), before, strict=True))
        per_1000 = 1000 / len(posted.answers)
        self._say(f"accepted {posted.rate:.0f}/s, p99 {1000 * posted.p99:.0f} ms, {own * per_1000:.1f} s CPU per 1,000")
        return {
            "accepted_per_s": posted.rate,
            "post_p50": posted.p50,
            "post_p99": posted.p99,
            "done_per_s": len(posted.answers) / (effects.last - posted.first),
            "cpu_per_1000": own * per_1000,
            "servers_cpu_per_1000": servers * per_1000,
            "disturbed": max(0.0, busy) / elapsed / (os.cpu_count() or 1),
        }

    def _backlog(self) -> dict[str, float]:
        self._running.stop_consumers()
        self._watch.begin()
        posted = self._post("backlog", self._size.registrations)
        started = time.time()
        self._running.start_consumers()
        effects = self._effects(posted)
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
        return posted, self._effects(posted)

    def _effects(self, posted: Posting) -> Effects:
        effects = self._watch.wait(posted.answers, self._running.must_run)
        self._wrong += [f"{posted.name}: {what}" for what in effects.wrong]
        return effects

    def _post(self, name: str, count: int, clients: int = 0, pause: float = 0.0) -> Posting:
        order = Order(self._running.place.http_port, name, count, clients or self._size.clients, pause)
        posted = run(order)
        must_accept(posted)
        took = [one.answered - one.sent for one in posted]
        first = min(one.sent for one in posted)
        rate = sum(one.status == 201 for one in posted) / (max(one.answered for one in posted) - first)
        return Posting(name, rate, percentile(took, 0.5), percentile(took, 0.99), first, posted)

    def _spent(self) -> tuple[float, float, float]:
        """CPU seconds so far: this side's, the servers', and those of strangers to the bench."""
        own, servers = self._running.cpu(), self._servers_cpu()
        times = os.times()
        bench = times.user + times.system + times.children_user + times.children_system
        return own, servers, busy_seconds() - own - servers - bench


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
