"""What keeps a part of the relay from going on: told once, and waited for a little longer each time."""

from collections.abc import Iterator
from types import TracebackType

import structlog

from infra.errors import TidingsError
from infra.relaying.pace import Backoff

log = structlog.get_logger(__name__)
#: Frames of these packages say more of a fault than the library's in which it came out.
_OURS = ("infra.", "events.")


class Trouble:
    """The present trouble of one part, if any."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._backoff = Backoff()
        #: In one line, for people.
        self.problem: str | None = None

    def tell(self, error: Exception) -> None:
        """Log it, unless it is the same as before."""
        expected = isinstance(error, TidingsError)
        problem = str(error) if expected else unexpected(error)
        if problem != self.problem:
            (log.warning if expected else log.error)(f"{self._part} waits", reason=problem)
        self.problem = problem

    async def wait(self, error: Exception) -> None:
        """Tell it, and give it time to go by."""
        self.tell(error)
        await self._backoff.wait()

    def over(self) -> None:
        """All is well again."""
        self.problem = None
        self._backoff.reset()


def unexpected(error: Exception) -> str:
    """An error that nobody thought of, by its class and place: its text may quote personal data."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"An unexpected {type(error).__name__} at {_place(error.__traceback__)} is in the way; it is tried again."


def _place(trace: TracebackType | None) -> str:
    frames = list(_frames(trace))
    ours = [frame for frame in frames if frame.startswith(_OURS)]
    return (ours or frames or ["an unknown place"])[-1]


def _frames(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        yield f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
        trace = trace.tb_next
