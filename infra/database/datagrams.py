"""The bell of SQLite: a datagram to the socket of the process that listens, which lies beside the database."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path


class DatagramBell:
    """A socket in the file system; whoever listened last is the one who is woken."""

    def __init__(self, beside: Path) -> None:
        self._path = str(beside.with_name(beside.name + "-bell"))
        self._out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._out.setblocking(False)
        self._answering = False

    def ring(self) -> None:
        """Wake the listener, if there is one in another process; never waits."""
        if self._answering:
            return
        with contextlib.suppress(OSError):  # nobody there, or it has been rung often enough, or the path is too long
            self._out.sendto(b"!", self._path)

    async def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` at the start and whenever another process rings, until cancelled."""
        with self._answer(wake):
            wake()
            await asyncio.Event().wait()

    def close(self) -> None:
        """Give the socket back."""
        self._out.close()

    @contextlib.contextmanager
    def _answer(self, wake: Callable[[], None]) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.setblocking(False)
            with contextlib.suppress(OSError):  # a path too long for a socket (108 characters): the poll does it
                Path(self._path).unlink(missing_ok=True)
                listening.bind(self._path)
            loop.add_reader(listening, _heard, listening, wake)
            self._answering = True
            try:
                yield
            finally:
                self._answering = False
                loop.remove_reader(listening)


def _heard(listening: socket.socket, wake: Callable[[], None]) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            listening.recv(16)
    wake()
