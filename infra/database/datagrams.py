"""The bell of SQLite: a datagram to the socket of the process that listens, and a look at the file's version."""

import asyncio
import contextlib
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

#: Seconds between two looks at whether anybody committed, for what added events and could not ring.
POLL = 0.1


class DatagramBell:
    """A socket in the file system; whoever listened last is the one who is woken."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._path = str(file.with_name(file.name + "-bell"))
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
        """Call `wake` at the start, when another process rings, and soon after any other commit, until cancelled.

        Raises:
            sqlite3.Error: the file is gone.
        """
        with contextlib.closing(_Version(self._file)) as version:

            def heard() -> None:
                version.changed()  # whoever rings has committed
                wake()

            with self._answer(heard):
                heard()
                while True:
                    await asyncio.sleep(POLL)
                    if version.changed():
                        wake()

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


class _Version:
    """Tells in a few microseconds, and without a lock, whether anybody committed since the last time."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
        self._seen: int | None = None

    def changed(self) -> bool:
        """Whether the file has another version than at the last call; also when that cannot be told just now."""
        before = self._seen
        try:
            (self._seen,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError:  # the file is being recovered, or out of reach
            self._seen = None
        return self._seen is None or self._seen != before

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()


def _heard(listening: socket.socket, wake: Callable[[], None]) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            listening.recv(16)
    wake()
