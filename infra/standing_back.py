"""How a process stands back behind all others of its machine, in what it takes of the processors."""

import ctypes
import multiprocessing
import os
import signal
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

_PROC = Path("/proc")
#: prctl(2): the signal that a process gets when its parent ends.
_SET_PDEATHSIG = 1


def stand_back(niceness: int) -> None:
    """Be as nice as this, from 0 to 19, with all threads that are started from now on."""
    parent = multiprocessing.parent_process()
    if niceness and parent is not None and _by_session():
        _leave_session(niceness, parent)
    os.nice(niceness)


def _by_session() -> bool:
    """Whether Linux shares the processors out among sessions first (sched(7), "autogroup").

    Then a thread's niceness counts against those of its own session only, and the gateway has another one.
    """
    try:
        return (_PROC / "sys/kernel/sched_autogroup_enabled").read_text().strip() == "1"
    except OSError:
        return False


def _leave_session(niceness: int, parent: BaseProcess) -> None:
    """Have a session of one's own, and have that stand back.

    A signal to our old group does not reach us there, so we end with our parent.
    """
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if not parent.is_alive():
        raise SystemExit(1)
    with suppress(PermissionError):  # it leads a group already
        os.setsid()
    with suppress(OSError):  # no such file, or asked too often: then it is as nice as a thread can be
        (_PROC / "self/autogroup").write_text(f"{niceness}\n")
