"""Programs in the foreground, as `./tidings gateway` and its like run them, each a fork of one warm interpreter.

A test that starts programs by the hundred would spend most of its time importing libraries. Dramatiq's own worker
processes are forks of the same kind.
"""

import contextlib
import faulthandler
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from infra.local.readiness import says_ready
from tests.waiting import until

#: Seconds for a start, and for an end.
PATIENCE = 60.0
_WARM = multiprocessing.get_context("forkserver")
_WARM.set_forkserver_preload(
    ["gateway.app", "consumers", "scheduler.program", "infra.rabbitmq.workers", "tests.frozen"]
)


class Program:
    """One module that is run as a program, again and again; what it says goes into one log file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, probe: str) -> None:
        self.log = log
        self._command = tuple(command)
        self._environment = dict(environment)
        self._probe = probe
        self._process: BaseProcess | None = None
        self._said_before = 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.is_alive()

    @property
    def answers(self) -> bool:
        """Whether its readiness probe says yes."""
        return says_ready(self._probe)

    def start(self, **settings: str) -> None:
        """Start it with these settings beside its own, and do not wait."""
        assert not self.is_running
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        environment = self._environment | {f"TIDINGS_{name.upper()}": value for name, value in settings.items()}
        self._process = _WARM.Process(target=_run, args=(self._command, environment, self.log))
        self._process.start()

    def await_ready(self) -> None:
        """Wait until its probe says yes."""
        self.wait(lambda: self.answers or not self.is_running, f"readiness of {self._command[0]}")
        assert self.is_running, f"{self._command[0]} ended ({self.exit_code()}): see {self.log}"

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something of it; when it does not come true, the stacks of its threads are in the log."""
        try:
            until(condition, seconds=PATIENCE, what=f"{what} ({self.log})")
        except AssertionError:
            self._tell_where_it_stands()
            raise

    def said(self) -> str:
        """What it wrote since its start."""
        return self.log.read_bytes()[self._said_before :].decode(errors="replace") if self.log.exists() else ""

    def exit_code(self, seconds: float = PATIENCE) -> int | None:
        """Its exit code, None if it does not end in time."""
        assert self._process is not None
        self._process.join(seconds)
        return self._process.exitcode

    def kill(self) -> None:
        """End it and all its processes at once, whatever it does."""
        if self._process is not None and self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.join()

    def _tell_where_it_stands(self) -> None:
        if self._process is not None and self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGUSR1)


def _run(command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    multiprocessing.set_start_method(None, force=True)  # as it is in a program that nobody forked
    os.setsid()
    faulthandler.register(signal.SIGUSR1)  # where it stands, for a test that waits for it in vain
    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = list(command)
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)
