"""Duties: what has to be done again and again, by one process at a time, beside the consumers' own work."""

import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Protocol

import structlog

from infra.database import leases
from infra.database.engine import Database
from infra.errors import DatabaseUnavailable
from infra.relaying.trouble import Trouble

#: Seconds that the right to a duty lasts; another process takes it over after this, when its holder is killed.
LEASE_SECONDS = 6.0
#: Seconds between two requests for the right to a duty that another process has.
ASK_EVERY = 2.0
#: Seconds before a step that failed is tried again.
AGAIN_AFTER = 2.0
#: Seconds that a step has to end when the program does.
_GRACE = 1.0

_log = structlog.get_logger(__name__)


class Duty(Protocol):
    """Something that is never done: it is worked off in steps."""

    def step(self) -> float:
        """Do a piece of the work, in a second or two, and say in how many seconds to come again.

        A process that hangs for longer than its lease meets another one in the same step, so what a step writes must
        bear that.
        """


class Duties:
    """Works on several duties in one thread; on each of them only while its lease is ours."""

    def __init__(self, database: Database, duties: Mapping[str, Duty], holder: str) -> None:
        """Remember; `holder` names this process and no other."""
        self._turns = [_Turn(database, name, duty, holder) for name, duty in duties.items()]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="duties", daemon=True)

    @property
    def problems(self) -> dict[str, str]:
        """Which duties cannot go on, and why."""
        return {turn.name: turn.trouble.problem for turn in self._turns if turn.trouble.problem is not None}

    def start(self) -> None:
        """Begin; called once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present step and give the leases back; a step that takes long is not waited for."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_GRACE)

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds_to_next()):
            for turn in self._turns:
                if turn.seconds == 0 and not self._stopping.is_set():
                    turn.take()
        for turn in self._turns:
            turn.give_back()

    def _seconds_to_next(self) -> float:
        return min((turn.seconds for turn in self._turns), default=ASK_EVERY)


class _Turn:
    """One duty, its lease, and when it is next looked at."""

    def __init__(self, database: Database, name: str, duty: Duty, holder: str) -> None:
        self.name = name
        self.trouble = Trouble(name)
        self._database = database
        self._duty = duty
        self._lease, self._holder = f"duty {name}", holder
        self._held_until = 0.0
        #: By the monotonic clock: when the duty wants its next step.
        self._due_at = 0.0
        self._next_at = 0.0

    @property
    def seconds(self) -> float:
        """Until it is to be looked at, 0 when that is now."""
        return max(0.0, self._next_at - time.monotonic())

    def take(self) -> None:
        """Do a step if the duty is ours and wants one; else keep the lease, or ask for it."""
        try:
            if not self._is_ours():
                self._next_at = time.monotonic() + ASK_EVERY
                return
            if self._due_at <= time.monotonic():
                self._due_at = time.monotonic() + self._duty.step()
            self.trouble.over()
        except Exception as error:  # noqa: BLE001  # whatever it was, the other duties go on, and this one again
            self.trouble.tell(error)
            self._due_at = time.monotonic() + AGAIN_AFTER
        self._next_at = min(self._due_at, time.monotonic() + LEASE_SECONDS / 3)

    def give_back(self) -> None:
        """Let another process have the duty at once."""
        if self._held_until <= time.monotonic():
            return
        try:
            self._database.run(partial(leases.release, name=self._lease, holder=self._holder))
        except DatabaseUnavailable as error:
            _log.warning("lease not released", lease=self._lease, error=str(error))

    def _is_ours(self) -> bool:
        now = time.monotonic()
        if self._held_until - now > LEASE_SECONDS / 2:
            return True
        asking = partial(leases.acquire, name=self._lease, holder=self._holder, seconds=LEASE_SECONDS)
        self._held_until = now + LEASE_SECONDS if self._database.run(asking) else 0.0
        return self._held_until > 0
