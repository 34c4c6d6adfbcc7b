"""All events that the database holds, as they were written, in slices: log, outbox, dead letters, resends."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Column, Select, Table, func, literal, select
from sqlmodel import Session

from infra.database import event_log
from infra.database.engine import Database
from infra.database.recovery_tables import DeadLetter, Resend
from infra.database.tables import EventLog, Outbox, table

#: Rows that are read at once: 128 MiB at the very most.
SLICE = 500

Place = Literal["outbox", "resends", "dead-letters", "log"]
#: In this order an event that is on its way from one to another meanwhile is not missed.
PLACES: tuple[Place, ...] = ("outbox", "resends", "dead-letters", "log")
_OPEN = ("waiting", "queued", "replaying")
_LOG, _OUTBOX, _LETTER, _RESEND = table(EventLog), table(Outbox), table(DeadLetter), table(Resend)


@dataclass(frozen=True, slots=True)
class Kept:
    """One event as it is kept, or bytes that are none."""

    #: Where it stands in its place; in the log the position.
    key: Any
    #: Id of the event; of a dead letter its own; of a resend that is of no event that of its letter.
    id: str
    type: str | None
    body: str | bytes = field(repr=False)
    #: Why it was given up.
    reason: str | None = None
    #: Nothing is left of it but its place.
    is_erased: bool = False

    @property
    def bytes(self) -> bytes:
        """As it goes on the wire."""
        return self.body.encode() if isinstance(self.body, str) else self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events; what is None does not matter."""

    type: str | None = None
    #: Published, accepted or given up at this moment or later.
    since: datetime | None = None


def slices(database: Database, place: Place, wanted: Filter) -> Iterator[list[Kept]]:
    """All that one place holds now, by its key, each slice in a transaction of its own.

    What comes to the log under way is left out, so that this ends.
    """
    key = _KEYS[place]
    with database.reading() as session:
        conditions = _conditions(session, place, wanted)
        after = _first(session, place, wanted)
    statement = _SELECTS[place].where(*conditions).order_by(key).limit(SLICE)
    while True:
        with database.reading() as session:
            # One lower bound: of two a database may walk from the lesser.
            rows = [Kept(*row) for row in session.connection().execute(statement.where(key > after))]
        if rows:
            yield rows
        if len(rows) < SLICE:
            return
        after = rows[-1].key


def _conditions(session: Session, place: Place, wanted: Filter) -> list[Any]:
    source, at = _SOURCES[place]
    conditions = [] if wanted.type is None else [source.c.type == wanted.type]
    if place == "log":
        return [*conditions, _LOG.c.position <= event_log.last_position(session)]
    return conditions if wanted.since is None else [*conditions, at >= wanted.since]


def _first(session: Session, place: Place, wanted: Filter) -> int | str:
    """What the first key is beyond."""
    if place == "log" and wanted.since is not None:
        return event_log.position_at(session, wanted.since)
    return "" if place == "dead-letters" else 0


_SOURCES: dict[Place, tuple[Table, Column[Any]]] = {
    "outbox": (_OUTBOX, _OUTBOX.c.added_at),
    "resends": (_RESEND, _RESEND.c.added_at),
    "dead-letters": (_LETTER, _LETTER.c.last_failed_at),
    "log": (_LOG, _LOG.c.published_at),
}
_KEYS: dict[Place, Column[Any]] = {
    "outbox": _OUTBOX.c.sequence,
    "resends": _RESEND.c.sequence,
    "dead-letters": _LETTER.c.id,
    "log": _LOG.c.position,
}


_SELECTS: dict[Place, Select[Any]] = {
    "outbox": select(_OUTBOX.c.sequence, _OUTBOX.c.event_id, _OUTBOX.c.type, _OUTBOX.c.body),
    "resends": select(
        _RESEND.c.sequence,
        func.coalesce(_RESEND.c.event_id, _RESEND.c.dead_letter_id, ""),
        _RESEND.c.type,
        _RESEND.c.body,
        _LETTER.c.reason,
    ).select_from(_RESEND.outerjoin(_LETTER, _LETTER.c.id == _RESEND.c.dead_letter_id)),
    "dead-letters": select(_LETTER.c.id, _LETTER.c.id, _LETTER.c.type, _LETTER.c.body, _LETTER.c.reason).where(
        _LETTER.c.state.in_(_OPEN)
    ),
    "log": select(
        _LOG.c.position, _LOG.c.event_id, _LOG.c.type, _LOG.c.body, literal(None), _LOG.c.erased_at.is_not(None)
    ),
}
