"""The signs of life of a process's jobs: one thread for all of them keeps their leases, and hears who is cancelled."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog

from infra.database import job_runs
from infra.database.engine import Database
from infra.database.job_begins import LEASE
from infra.database.job_runs import Beat, Far
from infra.shields import Shield

#: Seconds.
INTERVAL = 2.0
_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Pulse:
    """What a job's own thread and the one that beats tell each other; each field has one writer."""

    job_id: str
    owner: str
    #: By the job.
    far: Far = field(default_factory=Far)
    #: By the job: it has a transaction open in which its row is locked, which keeps others away as well.
    is_locked: bool = False
    #: By the one that beats: what is written of it.
    written: Far = field(default_factory=Far)
    is_cancelled: bool = False
    is_lost: bool = False


class Beating:
    """Its thread lives while there are jobs; for short ones it does not even beat."""

    def __init__(self, database: Database, *, interval: float = INTERVAL, lease: timedelta = LEASE) -> None:
        self._database = database
        self._interval = interval
        self._lease = lease
        self._pulses: set[Pulse] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def kept(self, pulse: Pulse) -> Iterator[None]:
        """Keep this one's lease meanwhile."""
        with Shield(), self._lock:
            self._pulses.add(pulse)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tidings jobs", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            self._pulses.discard(pulse)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(self._interval)
            with self._lock:
                pulses = list(self._pulses)
                if not pulses:
                    self._thread = None
                    return
            self._beat([pulse for pulse in pulses if not (pulse.is_locked or pulse.is_lost)])

    def _beat(self, pulses: list[Pulse]) -> None:
        """Once for each; who is not answered for has lost its job."""
        far = {pulse: pulse.far for pulse in pulses}
        beats = [Beat(pulse.job_id, pulse.owner, _news(pulse, far[pulse])) for pulse in pulses]
        try:
            kept = self._database.run(partial(job_runs.beat, beats=beats, lease=self._lease)) if beats else {}
        except Exception as error:  # noqa: BLE001  # whatever it is, there is a next beat, and the leases last for many
            _log.warning("signs of life not written", jobs=len(beats), error=type(error).__name__)
            return
        for pulse in pulses:
            told = kept.get(pulse.job_id)
            pulse.is_lost = told is None
            if told is not None:
                pulse.is_cancelled |= told.is_cancelled
                pulse.written = far[pulse] if told.is_written else pulse.written


def _news(pulse: Pulse, far: Far) -> Far | None:
    return far if far != pulse.written else None
