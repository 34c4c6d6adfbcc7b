"""A lock between processes that is fair: SQLite's own busy handler sleeps up to 100 ms and lets anybody overtake."""

import fcntl
import os
from pathlib import Path
from threading import Lock, Semaphore, Thread


class Turnstile:
    """Two `flock`s: a waiter for the second holds the first, so whoever lets go cannot overtake the one who waits.

    The kernel frees both when a process dies, however it dies. It waits in the order of asking, but without an end; so
    a thread apart waits there, and whoever asked waits for that thread and may give up. (To try again and again
    instead costs a tenth of the rate or more, and lets one process overtake another.)
    """

    def __init__(self, beside: Path) -> None:
        self._gate = os.open(beside.with_name(beside.name + "-gate"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lock = os.open(beside.with_name(beside.name + "-lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._mutex = Lock()
        self._asked = Semaphore(0)
        self._came = Lock()
        self._came.acquire()
        self._waiter: Thread | None = None
        #: The thread is in the kernel, or on its way there.
        self._waiting = False
        #: Somebody still wants what it waits for.
        self._wanted = False
        self._closed = False

    def take(self, seconds: float) -> bool:
        """Wait for the lock; False when it did not come in time. One thread of a process at a time may ask."""
        if self._take_at_once():
            return True
        self._ask()
        return self._came.acquire(timeout=seconds) or not self._withdraw()

    def give(self) -> None:
        """Let the next one in."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file descriptors back."""
        with self._mutex:
            self._closed = True
            if not self._waiting:
                self._close()
        self._asked.release()

    def _take_at_once(self) -> bool:
        if self._waiting:
            return False
        try:
            fcntl.flock(self._gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        return True

    def _ask(self) -> None:
        with self._mutex:
            self._wanted = True
            if self._waiting:  # for one who gave up
                return
            self._waiting = True
        if self._waiter is None:
            self._waiter = Thread(target=self._wait, name="file lock", daemon=True)
            self._waiter.start()
        self._asked.release()

    def _withdraw(self) -> bool:
        with self._mutex:
            self._wanted = False
            return not self._came.acquire(blocking=False)  # False: it came in the very last moment

    def _wait(self) -> None:
        while True:
            self._asked.acquire()
            if self._closed:
                return
            fcntl.flock(self._gate, fcntl.LOCK_EX)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            fcntl.flock(self._gate, fcntl.LOCK_UN)
            self._hand_over()

    def _hand_over(self) -> None:
        with self._mutex:
            self._waiting = False
            if self._wanted:
                self._wanted = False
                self._came.release()
            else:
                self.give()
            if self._closed:
                self._close()

    def _close(self) -> None:
        os.close(self._gate)
        os.close(self._lock)
