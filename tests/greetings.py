"""Whether a mail server greets: what tests wait for before they send anything."""

import socket

from infra.local.ports import LOOPBACK

#: RFC 5321, section 4.2: the first digits of "service ready".
_READY = b"220"


def speaks_smtp(port: int, timeout: float = 1.0) -> bool:
    """Whether one is ready for clients on this port of loopback; `timeout` in seconds."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout) as connection:
            connection.settimeout(timeout)
            return connection.recv(len(_READY)) == _READY
    except OSError:
        return False
