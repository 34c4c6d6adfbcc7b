"""A lock between processes that is fair: SQLite's own busy handler sleeps up to 100 ms and lets anybody overtake."""

import fcntl
import os
from pathlib import Path


class Turnstile:
    """Two `flock`s: a waiter for the second holds the first, so whoever lets go cannot overtake the one who waits.

    The kernel frees both when a process dies, however it dies.
    """

    def __init__(self, beside: Path) -> None:
        self._gate = os.open(beside.with_name(beside.name + "-gate"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lock = os.open(beside.with_name(beside.name + "-lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> None:
        """Wait for the lock."""
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def give(self) -> None:
        """Let the next one in."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file descriptors back."""
        os.close(self._gate)
        os.close(self._lock)
