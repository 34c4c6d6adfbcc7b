"""Free ports on loopback: the one that is wished for, or the next."""

import fcntl
import os
import socket
import tempfile
from collections.abc import Collection
from functools import cache
from pathlib import Path

from infra.errors import ConfigurationError

#: Everything that listens here listens on this address only.
LOOPBACK = "127.0.0.1"
#: Linux hands later ports out to outgoing connections, so a listener could lose its own while it restarts.
LAST_SAFE = 32767


def free_port(wish: int, taken: Collection[int] = ()) -> int:
    """The first port at or after `wish` that nothing listens on and that is not in `taken` (promised, not yet bound).

    It is this process's until it ends: no other that asks here is given it, whether it is bound meanwhile or not.

    Raises:
        ConfigurationError: there is none.
    """
    last = LAST_SAFE if wish <= LAST_SAFE else 65535
    for port in range(wish, last + 1):
        if port not in taken and is_free(port) and _reserve(port):
            return port
    raise ConfigurationError(f"No port from {wish} to {last} is free: stop a program that listens there.")


def is_free(port: int) -> bool:
    """Whether a server on loopback could take this port now."""
    return not answers(port) and _binds(port)


def answers(port: int, timeout: float = 0.5) -> bool:
    """Whether something accepts connections on this port of loopback; `timeout` in seconds."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout):
            return True
    except OSError:
        return False


def _binds(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do, else connections that were closed a minute ago would still count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _reserve(port: int) -> bool:
    """Whether this process has the port to itself from now on, or had it already.

    A lock on one byte of a file: it ends with the process, however that ends, and no child of it inherits it.
    """
    file = _reservations()
    if file is None:
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):
        return False
    return True


@cache
def _reservations() -> int | None:
    """The file of all starts of one person on this machine; None where there can be none, and starts must be lucky.

    Opened once, as closing it anywhere in the process would end all of the process's locks.
    """
    name = Path(tempfile.gettempdir(), f"tidings-ports-{os.getuid()}")
    try:
        return os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
