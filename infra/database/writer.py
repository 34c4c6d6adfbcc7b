"""One thread that writes for many: what waits together goes into one transaction."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from sqlmodel import Session

from infra.database.away import named

T = TypeVar("T")
Begin = Callable[[], AbstractContextManager[Session]]
#: Pieces in one transaction, at most.
_LARGEST = 128


class Piece:
    """A function that waits for the writer, and the future of its result."""

    __slots__ = ("error", "future", "result", "work")

    def __init__(self, work: Callable[[Session], Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, session: Session) -> None:
        """Run, and let a failure undo everything."""
        self.result = self.work(session)
        session.flush()

    def run_apart(self, session: Session) -> None:
        """Run inside a savepoint, so that a failure undoes this piece only."""
        connection = session.connection()
        connection.exec_driver_sql("SAVEPOINT piece")
        try:
            self.run(session)
        except Exception as error:  # noqa: BLE001  # it belongs to whoever waits for the future
            session.expunge_all()
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT piece")  # raises when more than this piece is broken
            self.error = named(error)
        connection.exec_driver_sql("RELEASE SAVEPOINT piece")

    def settle(self) -> None:
        """Hand the result over, now that it is on disk."""
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Writer:
    """The thread, started at the first submit."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._pieces: SimpleQueue[Piece | None] = SimpleQueue()
        self._start = Lock()
        self._thread: Thread | None = None

    def submit(self, work: Callable[[Session], T]) -> Future[T]:
        """Queue a function; a future that is cancelled before its turn is not run."""
        if self._thread is None:
            self._start_thread()
        piece = Piece(work)
        self._pieces.put(piece)
        return piece.future

    def close(self) -> None:
        """Write what waits, then end the thread."""
        if self._thread is not None:
            self._pieces.put(None)
            self._thread.join()
            self._thread = None

    def _start_thread(self) -> None:
        with self._start:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="writer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        going_on = True
        while going_on:
            waiting = self._take()
            going_on = None not in waiting
            pieces = [piece for piece in waiting if piece is not None and piece.future.set_running_or_notify_cancel()]
            if pieces:
                self._write(pieces)

    def _take(self) -> list[Piece | None]:
        taken = [self._pieces.get()]
        try:
            while len(taken) < _LARGEST:
                taken.append(self._pieces.get_nowait())
        except Empty:
            pass
        return taken

    def _write(self, pieces: list[Piece]) -> None:
        """All together, without a savepoint, for hardly ever does one fail; then, if one did, each in its own."""
        if not self._write_with(Piece.run, pieces, last=len(pieces) == 1):
            self._write_with(Piece.run_apart, pieces, last=True)

    def _write_with(self, run: Callable[[Piece, Session], None], pieces: list[Piece], *, last: bool) -> bool:
        through = False
        try:
            with self._begin() as session:
                for piece in pieces:
                    run(piece, session)
                through = True
        except Exception as error:  # noqa: BLE001  # the futures carry it
            if not (last or through):
                return False
            self._fail(pieces, error, again=len(pieces) > 1 and not through)
        else:
            for piece in pieces:
                piece.settle()
        return True

    def _fail(self, pieces: list[Piece], error: Exception, *, again: bool) -> None:
        """Who is at fault is not known when a common transaction breaks (a deadlock, say): each has a try alone.

        Not so when the commit itself failed, since it may have happened.
        """
        for piece in pieces:
            if again:
                self._write([piece])
            else:
                piece.future.set_exception(named(error))
