"""Ends the process when one of its threads has died, so that the supervisor starts a sound one."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable

import structlog

#: Seconds between two looks.
INTERVAL = 1.0
#: Exit code (sysexits.h: internal software error).
EXIT_CODE = 70

log = structlog.get_logger(__name__)


class Watchdog(threading.Thread):
    """Looks at threads that must live: a worker without them looks healthy and does nothing."""

    def __init__(self, threads: Callable[[], Iterable[threading.Thread]]) -> None:
        super().__init__(name="tidings watchdog", daemon=True)
        self._threads = threads
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Look no more: from now on threads may end."""
        self._stopped.set()

    def run(self) -> None:
        """Look until stopped, or until a thread is dead."""
        while not self._stopped.wait(INTERVAL):
            # One that is about to start is not dead, nor is one that has left meanwhile: who leaves is taken out first.
            dead = [thread for thread in self._threads() if thread.ident is not None and not thread.is_alive()]
            dead = [thread for thread in self._threads() if thread in dead] if dead else []
            if dead and not self._stopped.is_set():
                _end([thread.name for thread in dead])


def _end(dead: list[str]) -> None:
    log.critical("a thread died, so this process ends", threads=dead, exit_code=EXIT_CODE)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_CODE)  # no clean-up: a dead thread may hold any lock; what is unacked goes back to its queue
