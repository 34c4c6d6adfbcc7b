"""Events that the broker does not have: a page of them, and moving or cancelling one that waits for its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self

from sqlalchemy import ColumnElement, bindparam, delete, select, tuple_, update
from sqlmodel import Session

from infra.database.engine import ADDED_EVENTS
from infra.database.outbox import AT_ONCE, IS_HELD, ORDER
from infra.database.tables import Outbox, UtcDateTime, table

_OUTBOX = table(Outbox)
_CANCEL = delete(_OUTBOX).where(_OUTBOX.c.event_id == bindparam("event"), IS_HELD).returning(_OUTBOX)
_MOVE = (
    update(_OUTBOX)
    .where(_OUTBOX.c.event_id == bindparam("event"), IS_HELD)
    .values(available_at=bindparam("at", type_=UtcDateTime), body=bindparam("written"))
)
_order = tuple_(*ORDER)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in the order in which the outbox is published."""

    available_at: datetime
    sequence: int

    @classmethod
    def of(cls, row: Outbox) -> Self:
        """That of a row."""
        assert row.sequence is not None
        return cls(row.available_at, row.sequence)

    @classmethod
    def read(cls, text: str) -> Self | None:
        """What `str` made of one; None if it has made no such text."""
        at, _, sequence = text.partition("/")
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            return None
        is_one = moment.tzinfo == UTC and sequence.isdecimal() and sequence.isascii() and len(sequence) < 19
        return cls(moment, int(sequence)) if is_one else None

    def __str__(self) -> str:
        return f"{self.available_at.isoformat()}/{self.sequence}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events of the outbox; what is None does not matter."""

    state: Literal["accepted", "waiting", "set-aside"]
    type: str | None = None
    subject: str | None = None
    #: Due at this moment or later if it waits, else accepted then …
    since: datetime | None = None
    #: … and before this one.
    until: datetime | None = None

    def conditions(self, after: Place | None) -> list[ColumnElement[bool]]:
        """The same as conditions on the table, from after a place on."""
        equal = {"type": self.type, "subject": self.subject}
        conditions: list[ColumnElement[bool]] = [_OUTBOX.c.set_aside.is_(self.state == "set-aside")]
        conditions += [_OUTBOX.c[name] == value for name, value in equal.items() if value is not None]
        time = _OUTBOX.c.available_at if self.state == "waiting" else _OUTBOX.c.added_at
        conditions += [time < self.until] if self.until is not None else []
        if self.state == "waiting":
            return [*conditions, _waits(self.since, after)]
        conditions += [time >= self.since] if self.since is not None else []
        conditions += [_OUTBOX.c.available_at <= datetime.now(UTC)] if self.state == "accepted" else []
        return conditions if after is None else [*conditions, _is_after(after)]


def page(session: Session, wanted: Filter, *, after: Place | None, limit: int) -> Sequence[Outbox]:
    """Events that are not published, the one that is due next first, from after this place on."""
    query = select(_OUTBOX).where(*wanted.conditions(after)).order_by(*ORDER).limit(limit)
    return [Outbox(**row._mapping) for row in session.connection().execute(query)]  # noqa: SLF001  # public


def cancel(session: Session, event_id: str) -> Outbox | None:
    """Take out an event that waits for its time; None, and nothing happens, if it does not or the relay has it."""
    row = session.connection().execute(_CANCEL, {"event": event_id}).one_or_none()
    return None if row is None else Outbox(**row._mapping)  # noqa: SLF001  # public, see SQLAlchemy's Row


def move(session: Session, event_id: str, at: datetime | None, body: str) -> bool:
    """Have it wait until then (None: go at once), with this body; False if it does not wait or the relay has it."""
    moved = session.connection().execute(_MOVE, {"event": event_id, "at": at or AT_ONCE, "written": body})
    session.info[ADDED_EVENTS] = True  # the relay sleeps until the time that held before
    return bool(moved.rowcount)


def _waits(since: datetime | None, after: Place | None) -> ColumnElement[bool]:
    """The one lower bound: of two, a database walks the index from whichever it likes, which may be the lesser."""
    now = datetime.now(UTC)
    if after is not None and after.available_at >= max(now, since or now):
        return _is_after(after)
    return _OUTBOX.c.available_at >= since if since is not None and since > now else _OUTBOX.c.available_at > now


def _is_after(place: Place) -> ColumnElement[bool]:
    return _order > (place.available_at, place.sequence)
