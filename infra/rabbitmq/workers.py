"""The parent of the worker processes: each runs Dramatiq's worker, as a fork that need not import everything once more.

Dramatiq's own parent stops all when one of them dies. Here a process whose work may kill it (a job that takes all the
memory) is started again beside the others, which go on; when one of the others ends, all do, and it is for whoever
supervises us to start again.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType, SimpleNamespace
from typing import TextIO

import structlog
from dramatiq import cli

from infra.rabbitmq import places
from infra.rabbitmq.places import Place
from infra.rabbitmq.signs import EVERY, say

#: Milliseconds for a worker's orderly end, its grace time included.
_SHUTDOWN = 8_000
#: Seconds from a death to the next start, doubled each time, …
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
#: … until a process has lived for so long.
_CALM = 30.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Staff:
    """Worker processes of one kind."""

    #: Their composition root, `module:function`.
    composition: str
    processes: int
    #: Whether one that dies is started again while the others go on.
    replaced: bool = False


def work(staff: Sequence[Staff]) -> int:
    """Run worker processes until SIGTERM; gives the exit code. The first process answers for all: see `signs`."""
    return _Parent(staff).run()


@dataclass(slots=True)
class _Post:
    """One worker process, in all its lives."""

    staff: Staff
    place: Place
    process: BaseProcess | None = None
    began: float = 0.0
    #: When the next life begins, while it is between two.
    again_at: float | None = None
    pause: float = field(default=_FIRST_PAUSE)

    @property
    def is_manned(self) -> bool:
        return self.process is not None or self.again_at is not None

    def start(self) -> None:
        self.again_at, self.began = None, time.monotonic()
        with _no_signals():  # the child would take them for the parent's until it has handlers of its own
            process = multiprocessing.Process(target=_live, args=(self.staff.composition, self.place))
            process.start()
            self.process = process

    def ended(self) -> int | None:
        """Its exit code, once; None while it lives."""
        if self.process is None or (code := self.process.exitcode) is None:
            return None
        self.process.join()
        self.process = None
        return code

    def start_later(self, why: str) -> None:
        self.pause = _FIRST_PAUSE if time.monotonic() > self.began + _CALM else self.pause
        self.again_at = time.monotonic() + self.pause
        _log.error("worker process is started again", number=self.place.number, why=why, again_in=self.pause)
        if self.place.says is not None:
            told = f"{why}; it starts again in {self.pause:g} s"
            say(self.place.says, ({f"worker process {self.place.number}": told}, {}))
        self.pause = min(2 * self.pause, _LONGEST_PAUSE)

    def signal(self) -> None:
        self.again_at = None
        if self.process is not None and self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)


class _Parent:
    def __init__(self, staff: Sequence[Staff]) -> None:
        self._posts = list(_posts(staff))
        self._code = 0
        self._stopping = False

    def run(self) -> int:
        with _no_signals():
            for number in _SIGNALS:
                signal.signal(number, self._stop)
            for post in self._posts:
                self._start(post)
        while any(post.is_manned for post in self._posts):
            wait([post.process.sentinel for post in self._posts if post.process is not None], EVERY / 2)
            for post in self._posts:
                with _no_signals():  # told to stop half-way, we would start one that nobody stops
                    self._look_after(post)
        return cli.RET_KILLED if self._code < 0 else self._code

    def _look_after(self, post: _Post) -> None:
        code = post.ended()
        if code is not None and self._stopping:
            self._code = self._code or code
        elif code is not None:
            self._replace(post, f"ended, exit code {code}", code)
        if post.again_at is not None and time.monotonic() >= post.again_at:
            self._start(post)

    def _start(self, post: _Post) -> None:
        """Start it, if nobody has told us to stop."""
        if self._stopping:
            return
        try:
            post.start()
        except OSError as error:  # there is no memory for it, or there are too many processes
            self._replace(post, f"could not be started ({error.strerror})", 1)

    def _replace(self, post: _Post, why: str, code: int) -> None:
        """Start another one in a while; for want of one that may be missing so long, stop all with this exit code."""
        if post.staff.replaced:
            post.start_later(why)
            return
        _log.critical("worker process is missing, so the others stop", number=post.place.number, why=why)
        self._code = code
        self._stop()

    def _stop(self, _number: int | None = None, _frame: FrameType | None = None) -> None:
        """Also a second time, which to a worker means "at once"."""
        self._stopping = True
        for post in self._posts:
            post.signal()


def _posts(staff: Sequence[Staff]) -> Iterator[_Post]:
    each = [one for one in staff for _ in range(one.processes)]
    pipes = [multiprocessing.Pipe(duplex=False) for _ in each[1:]]
    hears = tuple((number, heard) for number, (heard, _) in enumerate(pipes, 1))
    for number, one in enumerate(each):
        yield _Post(one, Place(number, pipes[number - 1][1]) if number else Place(hears=hears))


def _live(composition: str, place: Place) -> None:
    """Be a worker process, from its beginning to its end."""
    if signal.SIGTERM in signal.sigpending():  # it comes at once, and Dramatiq's worker fails at one so early
        return
    places.take(place)
    arguments = cli.make_argument_parser().parse_args(  # type: ignore[no-untyped-call]
        [composition, "--worker-shutdown-timeout", str(_SHUTDOWN), "--skip-logging"]
    )
    no_forks = SimpleNamespace(initialized=True)  # those that middleware may want, which ours does not
    cli.worker_process(arguments, place.number, _stream(), no_forks, threading.Event())  # type: ignore[no-untyped-call]


def _stream() -> TextIO:
    """Where the lines of this process go: a whole line at a time, for all processes have it together."""
    return os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")


@contextmanager
def _no_signals() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
