"""Turns of tests that run in several processes: many side by side, or one alone."""

import fcntl
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turns:
    """Those of one process, which has a turn at a time.

    The gate lets in one at a time, so that the many who run side by side keep nobody waiting who runs alone.
    """

    def __init__(self, folder: Path) -> None:
        self._gate = (folder / "gate").open("a")
        self._room = (folder / "room").open("a")

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """Beside all who are not alone."""
        self._take(fcntl.LOCK_SH)
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """In the midst of a turn beside others: meanwhile nobody else has one."""
        with _clock_stopped():
            self._take(fcntl.LOCK_EX)
        try:
            yield
        finally:
            with _clock_stopped():
                self._take(fcntl.LOCK_SH)

    def close(self) -> None:
        self._gate.close()
        self._room.close()

    def _take(self, how: int) -> None:
        self._leave()  # whoever waits in the gate may wait for us
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, how)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def _leave(self) -> None:
        fcntl.flock(self._room, fcntl.LOCK_UN)


@contextmanager
def _clock_stopped() -> Iterator[None]:
    """The time limit of a test (pytest-timeout's alarm) is not for what it waits until its turn comes."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.setitimer(signal.ITIMER_REAL, left)
