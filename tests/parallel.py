"""Tests side by side in several processes (`-n 3`): what stays together, what comes first, and what runs alone.

Each process has servers of its own, so tests that break theirs disturb no others; what measures time is marked `alone`.
"""

import fcntl
import os
import re
import signal
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

#: Groups of tests that share what takes long to start, by a pattern of their ids; the longest first. All other tests
#: stay with those of their file. Those of `times` run alone: among others of their file, they would have all processes
#: stand still until the longest test of the moment is over.
_TOGETHER = {
    "crash points on PostgreSQL": r"crash_points/.*\bpostgresql",
    "crash points on SQLite": r"crash_points/",
    "the cluster": r"system/test_cluster\.py",
    "the fuzz": r"gateway/test_fuzz\.py",
    "the state machine on SQLite": r"infra/test_state_machine\.py::test_nothing",
    "the state machine on PostgreSQL": r"infra/test_state_machine\.py",
    "the drill on PostgreSQL": r"system/test_drill\.py.*\bpostgresql",
    "the drill on SQLite": r"system/test_drill\.py",
    "times": r"system/replicas/test_on_the_bus\.py|scheduler/test_operated\.py::test_a_run_of_now",
    "replicas on PostgreSQL": r"system/replicas/.*\bpostgresql",
    "replicas on SQLite": r"system/replicas/",
    "timed consumers": r"system/timed/",
    "whole installations": r"system/test_(activity_report|kills|main_job|pauses|hostile_flood|browser|asyncapi)\.py",
}
_ALONE = "alone"
#: How a run ends in which nobody is left in the middle of a test.
_TO_THE_END = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
#: RabbitMQs that the tests of this process ran on; in the process that reports, those of all.
VERSIONS = pytest.StashKey[set[str]]()


def group_of(nodeid: str) -> str:
    """The tests that one process runs in a row."""
    matching = (group for group, pattern in _TOGETHER.items() if re.search(pattern, nodeid))
    return next(matching, nodeid.partition("::")[0])


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Run beside all who are not alone either, or beside nobody.

    The gate lets in one at a time, so that the many who run side by side keep nobody waiting who runs alone.
    """
    with _locked(folder / "gate", fcntl.LOCK_EX) as gate, _locked(folder / "room", _how(alone)):
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


def register(config: pytest.Config) -> None:
    """Be part of a run that has several processes; does nothing to others."""
    config.stash[VERSIONS] = set()
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Worker(config))
    elif getattr(config.option, "tx", None):
        config.option.loadscopereorder = False
        config.pluginmanager.register(Distributor(config))


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # it ships no types
    """Hands out whole groups, in their order."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


class Distributor:
    """In the process that hands out the tests and reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tidings-tests-")
        self._versions = config.stash[VERSIONS]

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Scheduling:
        return Scheduling(config, log)

    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["folder"] = self._folder.name

    def pytest_testnodedown(self, node: Any) -> None:
        self._versions |= set(getattr(node, "workeroutput", {}).get("versions", ()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Let them end their servers: xdist kills them after 10 s, which leaves brokers behind."""
        work = Path(self._folder.name, "work")
        if exitstatus not in _TO_THE_END and work.exists():
            _interrupt(int(pid) for pid in work.read_text().split())
        with _locked(work, fcntl.LOCK_EX):
            pass

    def pytest_unconfigure(self) -> None:
        self._folder.cleanup()


class Worker:
    """In a process that runs some of them."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._folder = Path(config.workerinput["folder"])
        self._work = ExitStack()
        work = self._work.enter_context(_locked(self._folder / "work", fcntl.LOCK_SH))
        print(os.getpid(), file=work, flush=True)  # for the one that interrupts us
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt_once)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Long groups first, as nobody should have to wait for one at the end; at last those that run alone."""
        places = {group: place for place, group in enumerate(_TOGETHER)}
        items.sort(key=lambda item: (_is_alone(item), places.get(group_of(item.nodeid), len(places))))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, bool, bool]:
        """Wait for the turn before any time limit begins."""
        with turn(self._folder, alone=_is_alone(item)):
            return (yield)

    def pytest_sessionfinish(self) -> None:
        self._config.workeroutput["versions"] = sorted(self._config.stash[VERSIONS])

    def pytest_unconfigure(self) -> None:
        self._work.close()


def _interrupt(workers: Iterable[int]) -> None:
    for pid in workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """Ctrl-C reaches each process, from the terminal and from ours: the second one would disturb the taking down."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def _locked(file: Path, how: int) -> Iterator[IO[str]]:
    with file.open("a") as opened:
        fcntl.flock(opened, how)
        yield opened


def _how(alone: bool) -> int:
    return fcntl.LOCK_EX if alone else fcntl.LOCK_SH


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker(_ALONE) is not None
