"""What is not settled: events of the log that a consumer neither handled nor gave up into a kept dead letter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database.recovery_tables import DeadLetter, Unsettled
from infra.database.tables import BIG, EventLog, Inbox, UtcDateTime, table
from infra.subscriptions import EVERY_TYPE

_LOG, _INBOX, _LETTER, _UNSETTLED = table(EventLog), table(Inbox), table(DeadLetter), table(Unsettled)
_WHO: BindParameter[str] = bindparam("who")


def _settled(event_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Once true it stays so, hence it may be read in one transaction and acted upon in the next."""
    kept = exists().where(_LETTER.c.event_id == event_id, _LETTER.c.consumer == _WHO)
    ended = or_(_INBOX.c.state == "handled", and_(_INBOX.c.state == "dead", kept))
    return exists().where(_INBOX.c.event_id == event_id, _INBOX.c.consumer == _WHO, ended)


def _with_inbox(source: Any, resent_at: ColumnElement[Any]) -> Select[Any]:
    """Rows of `source` that are not settled, in the shape of `Open`."""
    mine = and_(_INBOX.c.event_id == source.c.event_id, _INBOX.c.consumer == _WHO)
    columns = (source.c.position, source.c.event_id, source.c.published_at, resent_at.label("resent_at"))
    return (
        select(*columns, _INBOX.c.state, _INBOX.c.retry_at, _INBOX.c.handled_at)
        .select_from(source.outerjoin(_INBOX, mine))
        .where(~_settled(source.c.event_id))
        .order_by(source.c.position)
    )


_RANGE = (_LOG.c.position > bindparam("after", type_=BIG), _LOG.c.position <= bindparam("end", type_=BIG))
_OF_TYPE = _LOG.c.type == bindparam("type")
_NEVER = bindparam("never", None, UtcDateTime)
_OPEN = _with_inbox(_LOG, _NEVER).where(*_RANGE)
_OPEN_OF_TYPE = _OPEN.where(_OF_TYPE)
_OLDEST = (func.count(), func.min(_LOG.c.position), func.min(_LOG.c.published_at, type_=UtcDateTime))
_SUMMARY = select(*_OLDEST).where(*_RANGE, ~_settled(_LOG.c.event_id))
_SUMMARY_OF_TYPE = _SUMMARY.where(_OF_TYPE)
_END = (
    select(_LOG.c.position)
    .where(_OF_TYPE, _LOG.c.position > bindparam("after", type_=BIG))
    .order_by(_LOG.c.position)
    .offset(bindparam("skip", type_=BIG))
    .limit(1)
)
_COUNT_OF_TYPE = select(func.count()).select_from(_LOG).where(_OF_TYPE, _LOG.c.position > bindparam("after", type_=BIG))
_MINE = _UNSETTLED.c.consumer == _WHO
_RECORDED = select(func.count()).select_from(_UNSETTLED).where(_MINE)
_RECORDED_OPEN = select(
    func.count(), func.min(_UNSETTLED.c.position), func.min(_UNSETTLED.c.published_at, type_=UtcDateTime)
).where(_MINE, ~_settled(_UNSETTLED.c.event_id))
_RECORDED_SETTLED = (
    select(_UNSETTLED.c.position).where(_MINE, _settled(_UNSETTLED.c.event_id)).order_by(_UNSETTLED.c.position)
)
_MAYBE_LOST = _with_inbox(_UNSETTLED, _UNSETTLED.c.resent_at).where(
    _MINE,
    _UNSETTLED.c.published_at < bindparam("before", type_=UtcDateTime),
    or_(_UNSETTLED.c.resent_at.is_(None), _UNSETTLED.c.resent_at < bindparam("resent_before", type_=UtcDateTime)),
)
_THESE = _UNSETTLED.c.position.in_(bindparam("positions", expanding=True))
_REMOVE = delete(_UNSETTLED).where(_MINE, _THESE)
_MARK = (
    update(_UNSETTLED)
    .where(_MINE, _THESE)
    .values(resent_at=bindparam("now", type_=UtcDateTime))
    .returning(_UNSETTLED.c.position)
)
_ADD = {
    name: dialect.insert(_UNSETTLED).on_conflict_do_nothing()
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


@dataclass(frozen=True, slots=True)
class Open:
    """An event that one consumer has not settled, and what the inbox knows of it there."""

    position: int
    event_id: str
    published_at: datetime
    #: When the sweep sent it again, if it did.
    resent_at: datetime | None
    #: None before its first try has ended.
    state: str | None
    #: While it is retrying: when its copy returns.
    retry_at: datetime | None
    #: When the handler's work was committed, though effects are missing.
    handled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Summary:
    """How many there are, and the first of them."""

    count: int
    position: int | None
    published_at: datetime | None


def slice_end(session: Session, types: Sequence[str], after: int, last: int, most: int) -> int:
    """Position up to which the log holds at most `most` events of each of these types after `after`."""
    if _takes_all(types):
        return min(after + most, last)
    query = {"after": after, "skip": most - 1}
    ends = [session.connection().execute(_END, {**query, "type": each}).scalar() for each in types]
    return min((end for end in ends if end is not None), default=last)


def between(session: Session, consumer: str, types: Sequence[str], after: int, end: int) -> list[Open]:
    """Events for this consumer in the log, after a position and up to another, that it has not settled."""
    rows = [row for each in _each(types) for row in _of_type(session, _OPEN, _OPEN_OF_TYPE, consumer, each, after, end)]
    return sorted((Open(*row) for row in rows), key=lambda one: one.position)


def summary_between(session: Session, consumer: str, types: Sequence[str], after: int, end: int) -> Summary:
    """The same, counted."""
    found = [
        Summary(*row)
        for each in _each(types)
        for row in _of_type(session, _SUMMARY, _SUMMARY_OF_TYPE, consumer, each, after, end)
    ]
    return merged(found)


def count_after(session: Session, types: Sequence[str], after: int, last: int) -> int:
    """Events of these types after a position, settled or not."""
    if _takes_all(types):
        return max(0, last - after)
    query = [{"type": each, "after": after} for each in types]
    return sum(int(session.connection().execute(_COUNT_OF_TYPE, one).scalar_one()) for one in query)


def merged(parts: Sequence[Summary]) -> Summary:
    """Several as one."""
    return Summary(
        sum(part.count for part in parts),
        min((part.position for part in parts if part.position is not None), default=None),
        min((part.published_at for part in parts if part.published_at is not None), default=None),
    )


def recorded(session: Session, consumer: str) -> int:
    """How many rows the scan has left behind for this consumer, settled meanwhile or not."""
    return int(session.connection().execute(_RECORDED, {"who": consumer}).scalar_one())


def recorded_open(session: Session, consumer: str) -> Summary:
    """Those of them that are not settled now."""
    return Summary(*session.connection().execute(_RECORDED_OPEN, {"who": consumer}).one())


def recorded_settled(session: Session, consumer: str) -> list[int]:
    """Positions of those that are settled now."""
    return list(session.connection().execute(_RECORDED_SETTLED, {"who": consumer}).scalars())


def maybe_lost(session: Session, consumer: str, *, published_before: datetime, resent_before: datetime) -> list[Open]:
    """Recorded rows, not settled, old enough, and not sent again since."""
    query = {"who": consumer, "before": published_before, "resent_before": resent_before}
    return [Open(*row) for row in session.connection().execute(_MAYBE_LOST, query)]


def add(session: Session, consumer: str, rows: Sequence[Open]) -> None:
    """Record what the scan goes past; what is recorded already stays as it is."""
    values = [
        {"consumer": consumer, "position": row.position, "event_id": row.event_id, "published_at": row.published_at}
        for row in rows
    ]
    connection = session.connection()
    if values:
        connection.execute(_ADD[connection.dialect.name], values)


def remove(session: Session, consumer: str, positions: Sequence[int]) -> None:
    """Forget what is settled, or not for this consumer any more."""
    session.connection().execute(_REMOVE, {"who": consumer, "positions": positions})


def mark_resent(session: Session, consumer: str, positions: Sequence[int], now: datetime) -> set[int]:
    """Write that they are sent again now; gives those that are still recorded."""
    query = {"who": consumer, "positions": positions, "now": now}
    return set(session.connection().execute(_MARK, query).scalars())


def _takes_all(types: Sequence[str]) -> bool:
    return EVERY_TYPE in types


def _each(types: Sequence[str]) -> Sequence[str | None]:
    return [None] if _takes_all(types) else types


def _of_type(  # noqa: PLR0913, PLR0917
    session: Session, any_type: Any, one_type: Any, consumer: str, event_type: str | None, after: int, end: int
) -> Sequence[Any]:
    """One type at a time: each query then walks one range of one index, whatever else the log holds."""
    query: dict[str, Any] = {"who": consumer, "after": after, "end": end}
    if event_type is None:
        return session.connection().execute(any_type, query).all()
    return session.connection().execute(one_type, {**query, "type": event_type}).all()
