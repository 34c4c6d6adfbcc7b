"""What a test process that was killed left running: known by its environment (Linux), and ended with it."""

import os
import shutil
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.postgres import FOLDER
from tests.waiting import until

_PROC = Path("/proc")


def end(*signs: Iterable[str]) -> None:
    """Kill each process in whose environment all texts of one of the signs stand; PostgreSQL's data go, too."""
    meant = [[text.encode() for text in texts] for texts in signs]
    until(lambda: _are_gone(meant), seconds=30, what="the end of what was left running")


def _are_gone(signs: Sequence[Sequence[bytes]]) -> bool:
    """Whether there was none any more; those that there were are killed."""
    found = [process for process in _PROC.glob("[0-9]*") if _has_one(process, signs)]
    for process in found:
        _kill(process)
    return not found


def _has_one(process: Path, signs: Sequence[Sequence[bytes]]) -> bool:
    try:
        environment = (process / "environ").read_bytes()
    except OSError:  # it is gone, or somebody else's
        return False
    return any(all(text in environment for text in texts) for texts in signs)


def _kill(process: Path) -> None:
    with suppress(OSError):
        folder = (process / "cwd").readlink()
        os.kill(int(process.name), signal.SIGKILL)
        if folder.name.startswith(FOLDER):  # in memory, where it would stay
            shutil.rmtree(folder, ignore_errors=True)
