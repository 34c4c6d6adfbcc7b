"""One thread that writes for many: what waits together goes into one transaction."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any

from infra.database.away import named
from infra.database.session import CoreSession

Begin = Callable[[], AbstractContextManager[CoreSession]]
#: Writes for several who wait at the same time, in as few statements as it can; gives the result of each, in order.
Together = Callable[[CoreSession, Sequence[Any]], Sequence[Any]]
#: Pieces in one transaction, at most.
_LARGEST = 128
#: Seconds for which a transaction that is smaller than the one before waits for more (as PostgreSQL's `commit_delay`).
_LINGER = 0.001


@dataclass(frozen=True, slots=True)
class Refused:
    """In place of the result of one of several: nothing was written for it, and this is to be raised."""

    error: Exception


def refused(error: Exception) -> Any:
    """The same, as whatever the results are."""
    return Refused(error)


class Piece:
    """What waits for the writer, and the future of its result."""

    __slots__ = ("error", "future", "item", "result", "together")

    def __init__(self, together: Together, item: Any) -> None:
        self.together = together
        self.item = item
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: Exception | None = None

    def settle(self) -> None:
        """Hand the result over, now that it is on disk."""
        error = self.result.error if isinstance(self.result, Refused) else self.error
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.result)


def one_by_one(session: CoreSession, works: Sequence[Callable[[CoreSession], Any]]) -> list[Any]:
    """Functions that know nothing of each other."""
    results = []
    for work in works:
        results.append(work(session))
        session.flush()
    return results


def _run(session: CoreSession, pieces: Sequence[Piece]) -> None:
    """Run all, those of the same kind at once, and let a failure undo everything."""
    alike: dict[Together, list[Piece]] = {}
    for piece in pieces:
        alike.setdefault(piece.together, []).append(piece)
    for together, some in alike.items():
        results = together(session, [piece.item for piece in some])
        for piece, result in zip(some, results, strict=True):
            piece.result, piece.error = result, None


def _run_apart(session: CoreSession, pieces: Sequence[Piece]) -> None:
    """Run each inside a savepoint, so that a failure undoes this piece only."""
    for piece in pieces:
        session.connection().exec_driver_sql("SAVEPOINT piece")
        try:
            _run(session, [piece])
            session.connection()  # writes what it gathered
        except Exception as error:  # noqa: BLE001  # it belongs to whoever waits for the future
            session.expunge_all()
            session.forget_gathered()
            # Raises when more than this piece is broken.
            session.connection().exec_driver_sql("ROLLBACK TO SAVEPOINT piece")
            piece.error, piece.result = named(error), None
        session.connection().exec_driver_sql("RELEASE SAVEPOINT piece")


class Writer:
    """The thread, started at the first submit."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._pieces: SimpleQueue[Piece | None] = SimpleQueue()
        self._start = Lock()
        self._thread: Thread | None = None
        #: How many the last transaction was for.
        self._last = 0

    def submit(self, together: Together, item: Any) -> Future[Any]:
        """Queue something; what is cancelled before its turn is not written."""
        if self._thread is None:
            self._start_thread()
        piece = Piece(together, item)
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
        self._take_more(taken)
        if len(taken) < self._last:
            # Those who were in the last one are about to come with their next, and one commit for all costs the least.
            time.sleep(_LINGER)
            self._take_more(taken)
        self._last = len(taken)
        return taken

    def _take_more(self, taken: list[Piece | None]) -> None:
        with suppress(Empty):
            while len(taken) < _LARGEST:
                taken.append(self._pieces.get_nowait())

    def _write(self, pieces: list[Piece]) -> None:
        """All together, without a savepoint, for hardly ever does one fail; then, if one did, each in its own."""
        if not self._write_with(_run, pieces, last=len(pieces) == 1):
            self._write_with(_run_apart, pieces, last=True)

    def _write_with(
        self, run: Callable[[CoreSession, Sequence[Piece]], None], pieces: list[Piece], *, last: bool
    ) -> bool:
        through = False
        try:
            with self._begin() as session:
                run(session, pieces)
                session.connection()  # writes what was gathered
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
