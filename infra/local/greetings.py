"""Whether what listens on a port of loopback greets as its protocol demands: an open port alone proves little."""

import socket

from infra.local.ports import LOOPBACK

#: AMQP 0-9-1, section 4.2.2: what a client says first; a server that is ready answers with a method frame (type 1).
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"
#: RFC 5321, section 4.2: the first digits of "service ready".
_SMTP_READY = b"220"


def speaks_amqp(port: int, timeout: float = 1.0) -> bool:
    """Whether a broker is ready for clients there; `timeout` in seconds."""
    return _exchange(port, _AMQP_HEADER, timeout).startswith(_METHOD_FRAME)


def speaks_smtp(port: int, timeout: float = 1.0) -> bool:
    """Whether a mail server is ready for clients there; `timeout` in seconds."""
    return _exchange(port, b"", timeout).startswith(_SMTP_READY)


def _exchange(port: int, said: bytes, timeout: float) -> bytes:
    """What the server says first, or in answer; nothing when it does not listen, does not answer, or hangs up."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout) as connection:
            connection.sendall(said)
            return connection.recv(len(_SMTP_READY))
    except OSError:
        return b""
