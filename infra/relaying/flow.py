"""How many events of the past a consumer may be sent now: it also has new ones to take, which come in behind these."""

import time
from collections.abc import Callable

from infra.pacing import Pace

#: Events that may be on their way to a consumer of which nothing is known yet, and to one however fast it is.
FEWEST, MOST = 100, 2_000
#: Seconds' worth of a consumer's own speed that may be on its way: a new event waits for about so long behind these.
AHEAD = 2.0
#: Seconds over which that speed is measured.
_SPAN = 0.5


class Flow:
    """Of one backfill: its rate, and a window that follows what its consumer gets done."""

    def __init__(self, rate: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pace = Pace(rate, clock())
        self._window = FEWEST
        self._sent = 0
        self._measured_at = clock()
        self._ended: int | None = None

    def room(self, in_flight: int) -> int:
        """How many may be sent now, with so many on their way; none as long as it is not worth a slice."""
        self._measure(in_flight)
        if in_flight > self._window // 2:
            return 0
        return max(0, min(self._window - in_flight, self._pace.allowed(self._clock())))

    def took(self, number: int) -> None:
        """Note that so many were sent."""
        self._pace.took(number)
        self._sent += number

    def _measure(self, in_flight: int) -> None:
        """Twice what it gets done in a second: so it never runs dry, and the window grows with its speed."""
        now, ended = self._clock(), self._sent - in_flight
        if self._ended is None:  # what a relay before had sent may be on its way
            self._measured_at, self._ended = now, ended
        elif (seconds := now - self._measured_at) >= _SPAN:
            speed = (ended - self._ended) / seconds
            self._window = int(min(MOST, max(FEWEST, speed * AHEAD)))
            self._measured_at, self._ended = now, ended
