"""The outbox: events that are accepted, in the order in which they were, until the broker has confirmed them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, and_, bindparam, case, delete, func, insert, or_, select, update
from sqlmodel import Session

from events.envelope import Envelope, encode
from infra.database.engine import ADDED_EVENTS
from infra.database.session import add_rows
from infra.database.tables import Outbox, UtcDateTime, table

#: `available_at` of every event that need not wait: a constant, so that their order is the order of their sequence.
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)

_OUTBOX = table(Outbox)
#: The order in which events are published.
ORDER = (_OUTBOX.c.available_at, _OUTBOX.c.sequence)
#: Nobody asks for the sequence, so the database need not give it back.
_ADD = insert(_OUTBOX).inline()
#: It had to wait, and nobody has released it: it may still be moved or cancelled.
IS_HELD = and_(_OUTBOX.c.available_at > AT_ONCE, _OUTBOX.c.released_at.is_(None))
_DUE = (
    select(
        _OUTBOX.c.sequence,
        _OUTBOX.c.event_id,
        _OUTBOX.c.type,
        _OUTBOX.c.subject,
        _OUTBOX.c.body,
        _OUTBOX.c.attempts,
        IS_HELD.label("held"),
    )
    .where(_OUTBOX.c.set_aside.is_(False), _OUTBOX.c.available_at <= bindparam("now"))
    .order_by(*ORDER)
    .limit(bindparam("most"))
)
_NEXT = select(func.min(_OUTBOX.c.available_at)).where(
    _OUTBOX.c.set_aside.is_(False), _OUTBOX.c.available_at > bindparam("now")
)
_BLAME = (
    update(_OUTBOX)
    .where(_OUTBOX.c.sequence == bindparam("row"))
    .values(
        attempts=_OUTBOX.c.attempts + 1,
        error=bindparam("text"),
        set_aside=case((_OUTBOX.c.attempts + 1 >= bindparam("most"), True), else_=False),
    )
)
_RELEASE = (
    update(_OUTBOX)
    .where(_OUTBOX.c.sequence.in_(bindparam("rows", expanding=True)), IS_HELD)
    .where(_OUTBOX.c.available_at <= bindparam("now", type_=UtcDateTime))
    .values(released_at=bindparam("now", type_=UtcDateTime))
    .returning(_OUTBOX.c.sequence, _OUTBOX.c.body)
)
_REMOVE = delete(_OUTBOX).where(_OUTBOX.c.sequence.in_(bindparam("rows", expanding=True)))
_WAITING = select(func.count(), func.min(_OUTBOX.c.added_at)).where(
    _OUTBOX.c.set_aside.is_(False), _OUTBOX.c.available_at <= bindparam("now")
)
_SET_ASIDE = select(func.count()).where(_OUTBOX.c.set_aside.is_(True))
_FIND = select(_OUTBOX).where(_OUTBOX.c.event_id == bindparam("event"))


@dataclass(frozen=True, slots=True)
class Due:
    """An event that may be published now."""

    sequence: int
    event_id: str
    type: str
    subject: str | None
    body: str
    attempts: int
    #: It had to wait until now: to be released before it is published.
    held: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits in the outbox, for readiness and metrics."""

    #: Events that are due and not published.
    rows: int
    #: When the oldest of them was added.
    oldest: datetime | None
    set_aside: int


def add(session: Session, envelope: Envelope, *, available_at: datetime | None = None) -> None:
    """Announce an event in the transaction that the caller is in; `available_at` holds it back until then."""
    add_all(session, [(envelope, available_at)])


def add_all(session: Session, envelopes: Sequence[tuple[Envelope, datetime | None]]) -> None:
    """Announce several, in this order."""
    if envelopes:
        add_rows(session, _ADD, [_row(envelope, at) for envelope, at in envelopes])
        session.info[ADDED_EVENTS] = True


def due(
    session: Session,
    limit: int,
    *,
    now: datetime | None = None,
    without_types: Collection[str] = (),
    without_rows: Collection[int] = (),
) -> list[Due]:
    """The next events to publish, in order: first those that need not wait, as they were added, then by their time.

    What is left out (types, and rows by sequence) leaves out the later events of the same subjects, too.
    """
    held = bool(without_types or without_rows)
    statement = _passing_over(without_types, without_rows) if held else _DUE
    rows = session.connection().execute(statement, {"now": now or datetime.now(UTC), "most": limit})
    return [Due(*row) for row in rows]


def release(session: Session, sequences: Sequence[int]) -> dict[int, str]:
    """Let the relay publish rows that had to wait and are due; from the commit on nobody may move or cancel them.

    Gives those rows with their bodies. What was cancelled or moved since it was read is not among them.
    """
    rows = session.connection().execute(_RELEASE, {"rows": sequences, "now": datetime.now(UTC)})
    return {row.sequence: row.body for row in rows}


def next_at(session: Session, *, now: datetime | None = None) -> datetime | None:
    """When the next event that has to wait may be published; None when none waits.

    Who asked for what is `due` before gives the same moment: an event that became due in between is missed by both.
    """
    return session.connection().execute(_NEXT, {"now": now or datetime.now(UTC)}).scalar()


def blame(session: Session, errors: Mapping[int, str], *, set_aside_after: int = 10) -> None:
    """Count a failed try against these rows (by sequence); one that fails too often is passed over from then on."""
    if errors:
        rows = [{"row": row, "text": text, "most": set_aside_after} for row, text in errors.items()]
        session.connection().execute(_BLAME, rows)


def remove(session: Session, sequences: Sequence[int]) -> None:
    """Take rows out: they are published."""
    session.connection().execute(_REMOVE, {"rows": sequences})


def backlog(session: Session) -> Backlog:
    """Count what waits."""
    rows, oldest = session.connection().execute(_WAITING, {"now": datetime.now(UTC)}).one()
    return Backlog(rows, oldest, session.connection().execute(_SET_ASIDE).scalar_one())


def find(session: Session, event_id: str) -> Outbox | None:
    """The row of an event that is not published yet."""
    row = session.connection().execute(_FIND, {"event": event_id}).one_or_none()
    return None if row is None else Outbox(**row._mapping)  # noqa: SLF001  # public, see SQLAlchemy's Row


def _passing_over(types: Collection[str], rows: Collection[int]) -> Select[Any]:
    held = or_(_OUTBOX.c.type.in_(types), _OUTBOX.c.sequence.in_(rows))
    first = (
        select(_OUTBOX.c.subject, func.min(_OUTBOX.c.sequence).label("sequence"))
        .where(held, _OUTBOX.c.set_aside.is_(False), _OUTBOX.c.available_at <= bindparam("now"))
        .group_by(_OUTBOX.c.subject)
        .subquery()
    )
    behind = and_(first.c.subject == _OUTBOX.c.subject, first.c.sequence < _OUTBOX.c.sequence)
    return _DUE.join_from(_OUTBOX, first, behind, isouter=True).where(~held, first.c.sequence.is_(None))


def _row(envelope: Envelope, available_at: datetime | None) -> dict[str, Any]:
    if available_at is not None and available_at.utcoffset() is None:
        raise ValueError("An event can only be held back until a time that has a zone.")
    return {
        "event_id": envelope.id,
        "type": envelope.type,
        "subject": envelope.subject,
        "body": encode(envelope).decode(),
        "available_at": available_at or AT_ONCE,
        "added_at": datetime.now(UTC),
        "attempts": 0,
        "set_aside": False,
    }
