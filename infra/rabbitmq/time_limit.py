"""Interrupts a handler that takes too long, and nothing but the handler.

Dramatiq's own TimeLimit arms the interrupt around its whole processing of a message, and raises it outside the lock
that disarms it, so it may hit the acknowledgement or the next message. Here it is armed around one call, and taken back
under the same lock, so that once `call` is through no interrupt can be under way.

What remains: an interrupt is an asynchronous exception, which Python raises between two byte codes. It waits for a
blocking system call to return (give every client a timeout of its own) and for an `infra.shields.Shield` to end, it may
find code without one between taking and releasing a lock, and one that fires while the handler is just returning makes
a success a retry (the inbox drops it).
"""

import ctypes
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from dramatiq import Broker, MessageProxy, Worker
from dramatiq.middleware import TimeLimit, TimeLimitExceeded, raise_thread_exception

from infra.shields import unless_shielded

A = TypeVar("A")
R = TypeVar("R")

#: Seconds between two looks at the deadlines.
INTERVAL = 0.25


class HandlerTimeLimit(TimeLimit):
    """The middleware TimeLimit, armed by `call` instead of by Dramatiq."""

    def __init__(self) -> None:
        super().__init__(time_limit=float("inf"))
        self.thread = threading.Thread(target=self._watch, name="tidings time limit", daemon=True)
        self._lock = threading.Lock()
        self._deadlines: dict[int, float] = {}
        #: No call may run longer than this moment (monotonic clock).
        self._end = float("inf")

    def call(self, function: Callable[[A], R], argument: A, seconds: float) -> R:
        """Call the function; infinity is no limit.

        Raises:
            TimeLimitExceeded: it took longer than `seconds`, or than the process has left.
        """
        me = threading.get_ident()
        try:
            with self._lock:
                self._deadlines[me] = min(time.monotonic() + seconds, self._end)
            return function(argument)
        finally:
            self._disarm(me)

    def end_within(self, seconds: float) -> None:
        """Let what runs now, or starts later, go on for that long at most."""
        with self._lock:
            self._end = time.monotonic() + seconds
            self._deadlines = {thread: min(deadline, self._end) for thread, deadline in self._deadlines.items()}

    def _disarm(self, thread: int) -> None:
        with self._lock:
            fired = self._deadlines.pop(thread, None) is None
        if fired:  # and perhaps not yet raised: take it back, it must not hit what comes after the handler
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None)

    def _watch(self) -> None:
        while True:
            self._interrupt_overdue(time.monotonic())
            time.sleep(INTERVAL)

    def _interrupt_overdue(self, now: float) -> None:
        with self._lock:
            for thread in [thread for thread, deadline in self._deadlines.items() if deadline <= now]:
                if unless_shielded(thread, partial(raise_thread_exception, thread, TimeLimitExceeded)):
                    del self._deadlines[thread]  # otherwise its turn comes at the next look

    def before_worker_boot(self, _broker: Broker, _worker: Worker) -> None:
        """Start looking at the deadlines, in the process that works."""
        self.thread.start()

    def after_process_boot(self, broker: Broker) -> None:
        """Not before the worker boots: a test has no process boot."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Nothing is armed here: see `call`."""

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Nothing is armed here: see `call`."""

    after_skip_message = after_process_message
