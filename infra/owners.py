"""Who owns something for a while: a process by a name that tells others on its machine when it is gone."""

import os
import secrets
import socket
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


def name() -> str:
    """A new name of this process: host, process and chance, and what `is_gone` needs."""
    return f"{socket.gethostname()}#{os.getpid()}-{secrets.token_hex(4)} {_started(os.getpid())} {_world()}"


def is_gone(owner: str) -> bool:
    """Whether the process of this name has surely ended; of one on another machine or in another container: no."""
    parts = owner.split(" ")
    pid = parts[0].rpartition("#")[2].partition("-")[0]
    if len(parts) != 3 or not pid.isdecimal() or not parts[1] or parts[2] != _world() or not _world():
        return False
    return _started(int(pid)) != parts[1]  # a later process with the same number is another one


@cache
def _world() -> str:
    """Which boot of which machine, and in there which set of process numbers; empty where the system does not say."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When the process was started, in the system's own count; empty when it is gone or only waits to be reaped."""
    try:
        # proc(5): the name, in parentheses, may hold anything; state is the first field behind it, starttime the 20th.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
