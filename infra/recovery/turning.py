"""The duty that looks after events which wait for their turn: it has come for some, and whoever should say so died."""

from functools import partial

import structlog
from sqlmodel import Session

from infra.database import releases, waiting
from infra.database.engine import Database
from infra.database.waiting import Head

_log = structlog.get_logger(__name__)
#: Seconds between two looks, and between two parts of one.
EVERY, AT_ONCE = 2.0, 0.1
#: Subjects that are looked at in one step.
_MOST = 300


class Turning:
    """Goes over all subjects of which events wait, a part in each step; costs one look into a table when none do."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._after = ("", "")

    def step(self) -> float:
        """Let go what nothing keeps waiting."""
        with self._database.reading() as session:
            heads = waiting.heads(session, self._after, _MOST)
            free = [each for each in heads if _is_free(session, each)]
        if heads and self._after == ("", ""):
            self._database.run(waiting.forget_the_gone)
        released = sum(self._database.run(partial(_release, head=each)) for each in free)
        if released:
            _log.warning("events that waited without a reason go on", events=released, subjects=len(free))
        is_all = len(heads) < _MOST
        self._after = ("", "") if is_all else (heads[-1].consumer, heads[-1].subject)
        return EVERY if is_all else AT_ONCE


def _is_free(session: Session, head: Head) -> bool:
    types = releases.types_of(session, head.consumer)
    return releases.is_free(session, head.consumer, types, head.position)


def _release(session: Session, *, head: Head) -> int:
    return releases.release(session, head.consumer, head.subject)
