"""Tests side by side in several processes (`-n 3`): what stays together, what comes first, and what runs alone.

Each process has servers of its own, so tests that break theirs disturb no others; what measures time is marked `alone`.
"""

import fcntl
import os
import re
import signal
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests import orphans
from tests.turns import Turns

#: Groups of tests that share what takes long to start, by a pattern of their ids; the longest first. All other tests
#: stay with those of their file. Those of `times` run alone, so they are no part of their file's group, which need not
#: wait for the end.
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
    "whole installations": r"system/test_(activity_report|kills|pauses|hostile_flood|browser|asyncapi)\.py",
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

    def schedule(self) -> None:
        """Whoever stands in for a process that died begins with two groups, as all others have.

        A test begins only when the next one is known: with a single one it would wait for ever.
        """
        stands_in = self.collection is not None
        super().schedule()
        if stands_in:
            super().schedule()

    def remove_node(self, node: Any) -> str | None:
        """Of a process that died, hand on what was not done; the test in which it died is told, and not run again.

        xdist hands on its groups that are done as well, and whoever is given nothing but those waits for ever.
        """
        groups = self.assigned_work.pop(node)
        waiting = [(tests, test) for tests in groups.values() for test, is_done in tests.items() if not is_done]
        if not waiting:
            return None
        tests, died_in = waiting[0]
        tests[died_in] = True
        self.workqueue.update({name: tests for name, tests in groups.items() if not all(tests.values())})
        for other in self.nodes:
            self._reschedule(other)
        return str(died_in)


class Distributor:
    """In the process that hands out the tests and reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tidings-tests-")
        self._versions = config.stash[VERSIONS]

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Scheduling:
        return Scheduling(config, log)

    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["folder"] = self._folder.name

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        self._versions |= set(getattr(node, "workeroutput", {}).get("versions", ()))
        if error not in (None, "keyboard-interrupt"):
            _end_orphans(node)

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
        self._turns = Turns(self._folder)
        self._work.callback(self._turns.close)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt_once)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Long groups first, as nobody should wait for one at the end; at last those in which some run alone."""
        places = {group: place for place, group in enumerate(_TOGETHER)}
        last = {group_of(item.nodeid) for item in items if _is_alone(item)}

        def place(item: pytest.Item) -> tuple[bool, int]:
            group = group_of(item.nodeid)
            return group in last, places.get(group, len(places))

        items.sort(key=place)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, bool, bool]:
        """Wait for the turn before any time limit begins."""
        with self._turns.beside_others():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Only what is measured is alone: a whole installation that starts and ends for it disturbs nobody."""
        with self._turns.alone() if _is_alone(item) else nullcontext():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, None, None]:
        """The servers end here; what fails at that keeps pytest from all that comes later, and nobody may wait then."""
        self._config.workeroutput["versions"] = sorted(self._config.stash[VERSIONS])
        try:
            return (yield)
        finally:
            self._work.close()

    def pytest_unconfigure(self) -> None:
        self._work.close()


def _end_orphans(node: Any) -> None:
    """Brokers are given nothing of the environment of the process that starts them, but folders in its own."""
    run, process = node.workerinput["testrunuid"], node.gateway.id
    folder = node.config._tmp_path_factory.getbasetemp() / f"popen-{process}"
    orphans.end((f"PYTEST_XDIST_TESTRUNUID={run}\0", f"PYTEST_XDIST_WORKER={process}\0"), (f"{folder}/",))


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


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker(_ALONE) is not None
