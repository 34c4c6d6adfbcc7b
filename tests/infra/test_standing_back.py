"""A process that stands back does so behind all others of the machine, and does not outlive its parent."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from infra import standing_back
from infra.standing_back import stand_back
from tests.programs import is_alive
from tests.waiting import until

ROOT = Path(__file__).parents[2]
#: A parent whose child stands back, tells its number and waits.
RUN = "from tests.infra.test_standing_back import start; start()"


def start() -> None:
    child = multiprocessing.Process(target=_stand_back)
    child.start()
    child.join()


def _stand_back() -> None:
    standing_back._by_session = lambda: True
    stand_back(7)
    print(os.getpid(), flush=True)  # noqa: T201
    threading.Event().wait()


def started() -> "tuple[subprocess.Popen[str], int]":
    parent = subprocess.Popen([sys.executable, "-c", RUN], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def end(parent: "subprocess.Popen[str]", child: int) -> None:
    if is_alive(child):
        os.kill(child, signal.SIGKILL)
    parent.kill()
    parent.communicate()


def test_it_is_as_nice_as_it_was_told_to_be() -> None:
    parent, child = started()
    try:
        assert (os.getpriority(os.PRIO_PROCESS, 0) + 7) == os.getpriority(os.PRIO_PROCESS, child)
    finally:
        end(parent, child)


def test_where_sessions_share_the_processors_out_it_has_one_that_is_as_nice() -> None:
    parent, child = started()
    try:
        assert os.getsid(parent.pid) != os.getsid(child)
        said = Path(f"/proc/{child}/autogroup")
        assert said.read_text().endswith(" nice 7\n") if said.exists() else True
    finally:
        end(parent, child)


def test_it_ends_with_its_parent() -> None:
    parent, child = started()
    try:
        parent.kill()
        until(lambda: not is_alive(child), what="its end")
    finally:
        end(parent, child)


def test_niceness_0_changes_nothing() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0), os.getsid(0)
    stand_back(0)
    assert before == (os.getpriority(os.PRIO_PROCESS, 0), os.getsid(0))
