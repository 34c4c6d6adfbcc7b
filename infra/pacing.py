"""A pace: at most so many per second, without a burst that would make up for a time when nothing could be sent."""

import sys

#: Seconds' worth that may be sent at once: what a rate gathers between two looks, and no more.
_BURST = 0.25


class Pace:
    """A bucket that fills at a rate (Turner 1986, the leaky bucket as a meter); without a rate it is never empty."""

    def __init__(self, rate: float | None, now: float) -> None:
        self._rate = rate
        self._tokens, self._at = 1.0, now

    def allowed(self, now: float) -> int:
        """How many may be sent at this moment of a monotonic clock."""
        if self._rate is None:
            return sys.maxsize
        most = max(1.0, self._rate * _BURST)
        self._tokens = min(most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return int(self._tokens)

    def took(self, number: int) -> None:
        """Note that so many were sent."""
        self._tokens -= number
