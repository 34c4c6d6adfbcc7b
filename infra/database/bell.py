"""A wake-up between processes on one SQLite file: a datagram to who listens; a lost one costs a poll, nothing else."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path


class Bell:
    """A socket in the file system beside the database; whoever listened last is the one who is woken."""

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

    @contextlib.contextmanager
    def answering(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake` in the running event loop whenever another process rings, while the block lasts."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.setblocking(False)
            try:
                Path(self._path).unlink(missing_ok=True)
                listening.bind(self._path)
            except OSError:  # a path too long for a socket (108 characters): the poll does it
                yield
                return
            loop.add_reader(listening, self._heard, listening, wake)
            self._answering = True
            try:
                yield
            finally:
                self._answering = False
                loop.remove_reader(listening)

    def close(self) -> None:
        """Give the socket back."""
        self._out.close()

    @staticmethod
    def _heard(listening: socket.socket, wake: Callable[[], None]) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                listening.recv(16)
        wake()
