"""Signs of life: each worker process tells the first one how it does, and that one answers the probes for all."""

import json
import os
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait

from infra.rabbitmq.places import Place

#: Seconds between two signs.
EVERY = 1.0
#: Seconds after which one that says nothing is taken for stuck: a busy machine, and work that holds Python's own lock
#: for a while, are no news.
SILENCE = 20.0
#: Bytes of one sign; up to this many a pipe takes all of them at once or none.
_MOST = 2_000

#: What is wrong, and what is only to be seen, each by name.
Sign = tuple[dict[str, str], dict[str, str]]


class Telling:
    """In every process but the first."""

    def __init__(self, says: Connection, sign: Callable[[], Sign]) -> None:
        self._says = says
        self._sign = sign
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="signs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Say nothing more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            say(self._says, self._sign())
            self._stopped.wait(EVERY)


class Hearing:
    """In the first process: what the others said last."""

    def __init__(self, place: Place) -> None:
        self._numbers = {heard: number for number, heard in place.hears}
        self._last: dict[int, tuple[float, Sign]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="signs", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        if self._numbers:
            self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopped.set()

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong in the others; one that says nothing is a problem itself."""
        found: dict[str, str] = {}
        for number in self._numbers.values():
            at, (problems, _) = self._last.get(number, (None, ({}, {})))
            if at is None:
                found[f"worker process {number}"] = "has not started yet"
            elif time.monotonic() > at + SILENCE:
                found[f"worker process {number}"] = f"has said nothing for {time.monotonic() - at:.0f} s"
            else:
                found |= problems
        return found

    @property
    def notes(self) -> dict[str, str]:
        """What is to be seen of the others."""
        return {name: note for _, (_, notes) in self._last.values() for name, note in notes.items()}

    def _run(self) -> None:
        while not self._stopped.is_set():
            for heard in wait([*self._numbers], EVERY):
                assert isinstance(heard, Connection)
                problems, notes = json.loads(heard.recv_bytes())
                self._last[self._numbers[heard]] = time.monotonic(), (problems, notes)


def say(says: Connection, sign: Sign) -> None:
    """Give a sign, unless nobody has listened for long: it is never waited for."""
    problems, notes = sign
    told = json.dumps([problems, notes]).encode()
    if len(told) > _MOST:
        told = json.dumps([{"many": f"{len(problems)} problems"} if problems else {}, {}]).encode()
    os.set_blocking(says.fileno(), False)
    try:
        says.send_bytes(told)
    except OSError:  # the pipe is full, or the first process is on its way out
        return
