"""Messages for one consumer's queue alone: added in a transaction by a replay or the sweep, sent by the relay."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database.engine import ADDED_EVENTS
from infra.database.recovery_tables import Resend
from infra.database.tables import table

_RESEND = table(Resend)
_WAITING = select(_RESEND).order_by(_RESEND.c.sequence).limit(bindparam("most"))
_OTHERS_WAITING = _WAITING.where(_RESEND.c.consumer.not_in(bindparam("held", expanding=True)))
#: What was asked for once more while it was sent stays: the message may have been acknowledged before that.
_REMOVE = delete(_RESEND).where(
    _RESEND.c.sequence == bindparam("row"),
    _RESEND.c.asked == bindparam("times"),
    # A program from before `asked` was there makes a replay of it without counting.
    func.coalesce(_RESEND.c.dead_letter_id, "") == bindparam("letter"),
)
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
    #: It is of the past, and a backfill had sent it.
    backfilled: bool = False


def add(session: Session, messages: Sequence[Addressed]) -> int:
    """Have the relay send these; gives how many are new.

    What waits for the same consumer already is sent once, unless it is being sent at this moment: then once more. A
    replay of what waits for the sweep makes a replay of it.
    """
    now, connection = datetime.now(UTC), session.connection()
    add = _ADD[connection.dialect.name]
    asked = [connection.execute(add, _row(one, now)).scalar_one() for one in messages]
    if asked:
        session.info[ADDED_EVENTS] = True
    return asked.count(1)


def waiting(session: Session, limit: int, *, without: Collection[str] = ()) -> list[Resend]:
    """The next ones to send, in the order in which they were added; those for these consumers are left out."""
    statement, query = _WAITING, {"most": limit}
    if without:
        statement, query = _OTHERS_WAITING, {"most": limit, "held": list(without)}  # type: ignore[dict-item]
    rows = session.connection().execute(statement, query)
    return [Resend(**row._mapping) for row in rows]  # noqa: SLF001  # public, see SQLAlchemy's Row


def remove(session: Session, sent: Sequence[Resend]) -> None:
    """Take these out: the broker has confirmed them, or will never take them."""
    if sent:
        rows = [{"row": one.sequence, "times": one.asked, "letter": one.dead_letter_id or ""} for one in sent]
        session.connection().execute(_REMOVE, rows)


def count(session: Session) -> int:
    """How many wait."""
    return int(session.connection().execute(_COUNT).scalar_one())


def _row(one: Addressed, now: datetime) -> dict[str, Any]:
    return {
        "consumer": one.consumer,
        "event_id": one.event_id,
        "type": one.type,
        "body": one.body,
        "dead_letter_id": one.dead_letter_id,
        "backfilled": one.backfilled,
        "added_at": now,
    }


def _adding(insert: Any) -> Any:
    new = insert(_RESEND)
    is_replay = new.excluded.dead_letter_id.is_not(None)
    return new.on_conflict_do_update(
        index_elements=["consumer", "event_id"],
        set_={
            "asked": _RESEND.c.asked + 1,
            "body": case((is_replay, new.excluded.body), else_=_RESEND.c.body),  # with force it is another one
            "dead_letter_id": func.coalesce(_RESEND.c.dead_letter_id, new.excluded.dead_letter_id),
        },
    ).returning(_RESEND.c.asked)


_ADD = {name: _adding(dialect.insert) for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))}
