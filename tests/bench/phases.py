"""What the phases of a run have in common: a side at work, who watches for effects, and what is spent meanwhile."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from tests.bench.effects import Effects
from tests.bench.load import Posted
from tests.bench.program import busy_seconds
from tests.bench.sides import Running

#: How much is posted.
S = TypeVar("S")
Say = Callable[[str], None]


class Watching(Protocol):
    """Sees from outside what became of what was posted."""

    def begin(self) -> None:
        """Count from now."""

    def wait(self, posted: Sequence[Posted], alive: Callable[[], None]) -> Effects:
        """Until all is through, or nothing moves any more."""


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds of a side and of the servers, and the share of the machine that strangers to the bench took."""

    own: float
    servers: float
    disturbed: float


class Phases(Generic[S]):
    """One side on one database, measured once."""

    def __init__(self, running: Running, watch: Watching, servers_cpu: Callable[[], float], size: S, say: Say) -> None:
        self._running = running
        self._watch = watch
        self._servers_cpu = servers_cpu
        self._size = size
        self._say = say
        self._wrong: list[str] = []

    def _through(self, name: str, posted: Sequence[Posted]) -> Effects:
        effects = self._watch.wait(posted, self._running.must_run)
        self._wrong += [f"{name}: {what}" for what in effects.wrong]
        return effects

    def _meter(self) -> Callable[[], Spent]:
        """Begin to count; what this gives tells how much was spent until then."""
        before, started = self._spent(), time.time()

        def spent() -> Spent:
            elapsed = time.time() - started
            own, servers, others = (after - start for after, start in zip(self._spent(), before, strict=True))
            return Spent(own, servers, max(0.0, others) / elapsed / (os.cpu_count() or 1))

        return spent

    def _spent(self) -> tuple[float, float, float]:
        """CPU seconds so far: this side's, the servers', and those of strangers to the bench."""
        own, servers = self._running.cpu(), self._servers_cpu()
        times = os.times()
        bench = times.user + times.system + times.children_user + times.children_system
        return own, servers, busy_seconds() - own - servers - bench


def in_turns(rounds: int, databases: Sequence[str], sides: Sequence[S]) -> list[tuple[int, str, S]]:
    """The number of the round, database and side of each run."""
    # Who goes first changes from round to round, so that nobody always meets the warmer machine.
    return [
        (number, database, side)
        for number in range(1, rounds + 1)
        for database in databases
        for side in (sides if number % 2 else sides[::-1])
    ]
