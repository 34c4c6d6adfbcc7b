"""Tests side by side: who stays together, who waits for whom, and how an interrupted run ends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from threading import Event, Thread

import pytest

from infra.settings import environment_without_settings
from tests import parallel
from tests.programs import is_alive
from tests.turns import Turns
from tests.waiting import until

ROOT = Path(__file__).parents[1]
_CONFTEST = """
import os, pathlib, pytest, signal, subprocess
from tests import parallel

def pytest_configure(config):
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parallel.register(config)

@pytest.fixture(scope="session")
def server(tmp_path_factory):
    own = {"HOME": str(tmp_path_factory.mktemp("broker")), "PATH": os.environ["PATH"]}
    programs = [subprocess.Popen(["sleep", "600"], start_new_session=True, env=each) for each in (None, own)]
    mine = pathlib.Path(__file__).with_name(f"runs-{os.getpid()}")
    mine.write_text(" ".join(str(program.pid) for program in programs))
    yield
    for program in programs:
        program.kill()
        program.wait()
    mine.rename(mine.with_name("ended" + mine.name.removeprefix("runs")))
"""
_FOR_EVER = "import threading\n\ndef test_for_ever(server):\n    threading.Event().wait()\n"
_BESIDE = """
import pathlib
from tests.waiting import until

def test_beside_a_setup():
    here = pathlib.Path(__file__).parent
    until((here / "is-set-up").exists, seconds=30)
    (here / "has-ended").touch()
"""
_ALONE = """
import pathlib, pytest

@pytest.fixture
def here():
    folder = pathlib.Path(__file__).parent
    (folder / "is-set-up").touch()
    return folder

@pytest.mark.alone
def test_alone(here):
    assert (here / "has-ended").exists()
"""
_FAILING_END = """
import pytest

@pytest.fixture(autouse=True)
def fragile():
    yield
    raise ValueError("it cannot be taken down")
"""
_SHORT = "import pathlib\n\ndef test_short(server):\n    pathlib.Path(__file__).with_suffix('.done').touch()\n"
#: Ends its process when all others have been told that nothing else is to come for them.
_DEADLY = """
import os, pathlib, signal
from tests.waiting import until

def test_deadly(server):
    folder = pathlib.Path(__file__).parent
    until(lambda: len(list(folder.glob("*.done"))) == 2 and list(folder.glob("ended-*")), seconds=60)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/system/crash_points/test_crash_points.py::test_x[once-sqlite-p]", "crash points on SQLite"),
        ("tests/system/crash_points/test_errors.py::test_x[postgresql]", "crash points on PostgreSQL"),
        ("tests/system/test_drill.py::test_x[postgresql]", "the drill on PostgreSQL"),
        ("tests/system/replicas/test_replicas.py::test_x[postgresql]", "replicas on PostgreSQL"),
        ("tests/system/replicas/test_on_the_bus.py::test_x[postgresql]", "times"),
        ("tests/events/test_users.py::test_x[1]", "tests/events/test_users.py"),
    ],
)
def test_tests_that_share_dear_servers_stay_together_and_all_others_with_their_file(nodeid: str, group: str) -> None:
    assert group == parallel.group_of(nodeid)


def test_every_group_is_one_of_tests_that_exist() -> None:
    names = [
        f"{file.relative_to(ROOT)}::{name}"
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    ]
    tests = [f"{name}[{lane}]" for name in names for lane in ("sqlite", "postgresql")]
    assert parallel._TOGETHER.keys() <= {parallel.group_of(each) for each in tests}


class Participant:
    """Somebody who waits for a turn, has it, and ends it when told."""

    def __init__(self, folder: Path, *, alone: bool) -> None:
        self.has_it, self._end = Event(), Event()
        self._thread = Thread(target=self._take, args=(folder, alone))
        self._thread.start()

    def _take(self, folder: Path, alone: bool) -> None:
        with closing(Turns(folder)) as turns, turns.beside_others(), turns.alone() if alone else nullcontext():
            self.has_it.set()
            self._end.wait(30)

    def end(self) -> None:
        assert self.has_it.wait(10)
        self._end.set()
        self._thread.join(10)


def is_waited_for(folder: Path) -> bool:
    """Whether somebody stands in the gate."""
    with (folder / "gate").open("a") as gate:
        try:
            flock(gate, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return True
        flock(gate, LOCK_UN)
        return False


def test_who_runs_alone_waits_for_all_and_everybody_who_comes_later_waits_too(tmp_path: Path) -> None:
    first, second = Participant(tmp_path, alone=False), Participant(tmp_path, alone=False)
    assert first.has_it.wait(10)
    assert second.has_it.wait(10)  # side by side
    lonely = Participant(tmp_path, alone=True)
    until(lambda: is_waited_for(tmp_path), what="the one who runs alone")
    late = Participant(tmp_path, alone=False)
    first.end()
    assert not lonely.has_it.is_set()
    second.end()
    assert lonely.has_it.wait(10)
    assert not late.has_it.is_set()
    lonely.end()
    late.end()


def started(folder: Path, **tests: str) -> "subprocess.Popen[str]":
    """A run of two processes."""
    (folder / "conftest.py").write_text(_CONFTEST)
    for name, test in tests.items():
        (folder / f"test_{name}.py").write_text(test)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "2",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        str(folder),
    ]
    environment = environment_without_settings() | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def ended(run: "subprocess.Popen[str]") -> str:
    """What it said until its end."""
    try:
        return run.communicate(timeout=100)[0]
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        pytest.fail(f"it does not end: {run.communicate()[0]}")


def test_who_runs_alone_is_set_up_beside_others_and_begins_when_they_have_ended(tmp_path: Path) -> None:
    run = started(tmp_path, beside=_BESIDE, lonely=_ALONE)
    said = ended(run)
    assert pytest.ExitCode.OK == run.returncode, said


@pytest.mark.parametrize("test", [_FOR_EVER, _FOR_EVER + _FAILING_END], ids=["in order", "one fails at it"])
@pytest.mark.parametrize(
    "interrupt",
    [lambda run: run.terminate(), lambda run: os.killpg(run.pid, signal.SIGINT)],
    ids=["TERM to the one", "Ctrl-C to all"],
)
def test_an_interrupted_run_ends_the_servers_of_each_process(
    tmp_path: Path, interrupt: Callable[["subprocess.Popen[str]"], None], test: str
) -> None:
    run = started(tmp_path, one=test, two=test, three=test)
    until(lambda: len(list(tmp_path.glob("runs-*"))) == 2, seconds=60, what="both processes")
    interrupt(run)
    said = ended(run)
    servers = [re.sub(r"\d+", "", file.name) for file in tmp_path.iterdir() if re.search(r"\d", file.name)]
    assert (pytest.ExitCode.INTERRUPTED, ["ended-"] * 2) == (run.returncode, servers), said


def test_a_run_in_which_a_process_dies_ends_with_a_failure_and_with_its_servers(tmp_path: Path) -> None:
    run = started(tmp_path, a=_DEADLY, b=_SHORT, c=_SHORT, d=_SHORT)
    said = ended(run)
    assert (pytest.ExitCode.TESTS_FAILED, 1) == (run.returncode, said.count("1 failed, 3 passed")), said
    (left,) = tmp_path.glob("runs-*")
    assert [False, False] == [is_alive(int(pid)) for pid in left.read_text().split()]
