"""Two ways of not hurrying: fewer, larger batches under load, and longer pauses while something is away."""

import asyncio
import time

#: Seconds between two batches under load: waking for each single event would cost more than it gains.
BETWEEN = 0.02
#: Batches that may follow one another at once after a quiet time.
BURST = 5
#: Seconds before the second attempt; each further one waits twice as long …
FIRST = 0.1
#: … up to this many seconds.
LONGEST = 2.0


class Pace:
    """A leaky bucket (GCRA, ITU-T I.371): no wait at all while batches are rare."""

    def __init__(self) -> None:
        self._theoretical = 0.0

    async def wait(self) -> None:
        """Wait for as long as this batch came too early."""
        now = time.monotonic()
        self._theoretical = max(self._theoretical, now) + BETWEEN
        early = self._theoretical - now - BURST * BETWEEN
        if early > 0:
            await asyncio.sleep(early)


class Backoff:
    """Pauses that double."""

    def __init__(self) -> None:
        self._pause = FIRST

    async def wait(self) -> None:
        """Wait, and longer the next time."""
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST)
        await asyncio.sleep(pause)

    def reset(self) -> None:
        """Begin with a short pause again."""
        self._pause = FIRST
