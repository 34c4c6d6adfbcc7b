"""Messages for one consumer's queue alone: added in a transaction by a replay or the sweep, sent by the relay."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database.recovery_tables import Resend
from infra.database.tables import table

_RESEND = table(Resend)
_ADD = {
    name: dialect.insert(_RESEND).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_WAITING = select(_RESEND).order_by(_RESEND.c.sequence).limit(bindparam("most"))
_REMOVE = delete(_RESEND).where(_RESEND.c.sequence.in_(bindparam("rows", expanding=True)))
_COUNT = select(func.count()).select_from(_RESEND)


@dataclass(frozen=True, slots=True)
class Addressed:
    """A message and the one consumer that it is for."""

    consumer: str
    body: bytes = field(repr=False)
    event_id: str | None = None
    type: str | None = None
    #: The dead letter that is replayed; None when the sweep sends it.
    dead_letter_id: str | None = None


def add(session: Session, messages: Sequence[Addressed]) -> int:
    """Have the relay send these; one that waits for the same consumer already is left out. Gives how many are new."""
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = [
        {
            "consumer": one.consumer,
            "event_id": one.event_id,
            "type": one.type,
            "body": one.body,
            "dead_letter_id": one.dead_letter_id,
            "added_at": now,
        }
        for one in messages
    ]
    connection = session.connection()
    return sum(connection.execute(_ADD[connection.dialect.name], row).rowcount for row in rows)


def waiting(session: Session, limit: int) -> list[Resend]:
    """The next ones to send, in the order in which they were added."""
    rows = session.connection().execute(_WAITING, {"most": limit})
    return [Resend(**row._mapping) for row in rows]  # noqa: SLF001  # public, see SQLAlchemy's Row


def remove(session: Session, sequences: Sequence[int]) -> None:
    """Take rows out: the broker has confirmed them."""
    session.connection().execute(_REMOVE, {"rows": sequences})


def count(session: Session) -> int:
    """How many wait."""
    return int(session.connection().execute(_COUNT).scalar_one())
