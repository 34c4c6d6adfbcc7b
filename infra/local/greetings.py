"""Whether what listens on a port of loopback answers as a broker does: an open port alone proves little."""

import socket

from infra.local.ports import LOOPBACK

#: AMQP 0-9-1, section 4.2.2: what a client says first; a server that is ready answers with a method frame (type 1).
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"


def speaks_amqp(port: int, timeout: float = 1.0) -> bool:
    """Whether a broker is ready for clients there; `timeout` in seconds."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout) as connection:
            connection.sendall(_AMQP_HEADER)
            return connection.recv(len(_METHOD_FRAME)) == _METHOD_FRAME
    except OSError:  # it does not listen, does not answer, or hangs up
        return False
