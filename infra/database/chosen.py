"""The letters that an operation has chosen: queued, on their way, and how those that were sent have ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select, update
from sqlmodel import Session

from infra.database.letters import CLOSED, HAS_CONSUMER, Filter
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import UtcDateTime, table

_LETTER = table(DeadLetter)
_MINE = _LETTER.c.operation_id == bindparam("operation")
_THESE = _LETTER.c.id.in_(bindparam("letters", expanding=True))
_NEXT = select(_LETTER.c.id).where(_MINE, _LETTER.c.state == "queued").order_by(_LETTER.c.id).limit(bindparam("most"))
_ON_THEIR_WAY = select(func.count()).where(_MINE, _LETTER.c.state == "replaying")
_LONGEST_ON_ITS_WAY = select(func.min(_LETTER.c.replayed_at, type_=UtcDateTime)).where(
    _MINE, _LETTER.c.state == "replaying"
)
_LEFT = select(_LETTER.c.id).where(_MINE).limit(1)
_LET_GO = update(_LETTER).where(_MINE).values(operation_id=None).execution_options(preserve_rowcount=True)
_HANDLED = _LET_GO.where(_LETTER.c.state == "handled")
#: It failed and waits again; what an operator did to it before it was counted changes nothing about that.
_FAILED = _LET_GO.where(_LETTER.c.state.in_(("waiting", *(each for each in CLOSED if each != "handled"))))
_GIVE_BACK = (
    update(_LETTER)
    .where(_MINE, _LETTER.c.state == "queued")
    .values(state="waiting", operation_id=None)
    .execution_options(preserve_rowcount=True)
)
#: By their keys alone: PostgreSQL, which knows nothing yet of letters that were just queued, would walk all of them.
_STATES = select(_LETTER.c.id, _LETTER.c.state).where(_THESE)
_GIVE_THESE_BACK = update(_LETTER).where(_THESE).values(state="waiting", operation_id=None)


@dataclass(frozen=True, slots=True)
class Ended:
    """How many have ended since it was asked last."""

    handled: int
    failed: int


def choose(session: Session, wanted: Filter, operation_id: str) -> int:
    """Queue the waiting letters that are meant, unless their consumer is gone; gives how many."""
    choosing = (
        update(_LETTER)
        .where(*wanted.conditions(), _LETTER.c.state == "waiting", _LETTER.c.operation_id.is_(None), HAS_CONSUMER)
        .values(state="queued", operation_id=operation_id)
        .execution_options(preserve_rowcount=True)
    )
    return session.connection().execute(choosing).rowcount


def next_ids(session: Session, operation_id: str, limit: int) -> list[str]:
    """The next ones to send, in the order in which they were kept."""
    return list(session.connection().execute(_NEXT, {"operation": operation_id, "most": limit}).scalars())


def on_their_way(session: Session, operation_id: str) -> int:
    """How many were sent and have not ended."""
    return int(session.connection().execute(_ON_THEIR_WAY, {"operation": operation_id}).scalar_one())


def longest_on_its_way(session: Session, operation_id: str) -> datetime | None:
    """When the first of those was sent."""
    return session.connection().execute(_LONGEST_ON_ITS_WAY, {"operation": operation_id}).scalar()


def count_ended(session: Session, operation_id: str) -> Ended:
    """Count those that have ended; they are the operation's no more, so each is counted once."""
    mine, connection = {"operation": operation_id}, session.connection()
    return Ended(connection.execute(_HANDLED, mine).rowcount, connection.execute(_FAILED, mine).rowcount)


def give_back(session: Session, operation_id: str) -> int:
    """Let all that are queued wait again; gives how many."""
    return session.connection().execute(_GIVE_BACK, {"operation": operation_id}).rowcount


def give_these_back(session: Session, letter_ids: Sequence[str]) -> int:
    """The same for those of these that are queued, in the transaction that has locked their operation."""
    connection = session.connection()
    rows = connection.execute(_STATES, {"letters": list(letter_ids)})
    queued = [row.id for row in rows if row.state == "queued"]
    if queued:
        connection.execute(_GIVE_THESE_BACK, {"letters": queued})
    return len(queued)


def let_go(session: Session, operation_id: str) -> None:
    """Ask no more about those that are on their way: they end by themselves."""
    session.connection().execute(_LET_GO, {"operation": operation_id})


def are_left(session: Session, operation_id: str) -> bool:
    """Whether any is queued, on its way, or ended and not counted."""
    return session.connection().execute(_LEFT, {"operation": operation_id}).first() is not None
