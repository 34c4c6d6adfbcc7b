"""Which events of the log a consumer has settled: it handled or did not want them, or a dead letter is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, String, and_, bindparam, exists, func, or_, select
from sqlmodel import Session

from infra.database.inbox import SETTLED
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import BIG, EventLog, Inbox, UtcDateTime, table
from infra.subscriptions import EVERY_TYPE

_LOG, _INBOX, _LETTER = table(EventLog), table(Inbox), table(DeadLetter)
#: Parameter: the consumer.
WHO: BindParameter[str] = bindparam("who", type_=String)
#: How many places of the log are probed for what came through a queue, and events at each of them.
_PROBES, _PROBED = 16, 10


def settled(event_id: ColumnElement[Any], who: ColumnElement[str] = WHO) -> ColumnElement[bool]:
    """Nothing need be sent; a replay of a dead letter is the operators', so its event stays settled meanwhile."""
    mine = exists().where(_INBOX.c.event_id == event_id, _INBOX.c.consumer == who)
    return or_(mine.where(_INBOX.c.state.in_(SETTLED)), _is_kept(event_id, who))


def with_inbox(source: Any, resent_at: ColumnElement[Any]) -> Select[Any]:
    """Rows of `source` that are not settled, in the shape of `Open`."""
    mine = and_(_INBOX.c.event_id == source.c.event_id, _INBOX.c.consumer == WHO)
    columns = (source.c.position, source.c.event_id, source.c.published_at, resent_at.label("resent_at"))
    return (
        select(*columns, _INBOX.c.state, _INBOX.c.failed_at, _INBOX.c.retry_at)
        .select_from(source.outerjoin(_INBOX, mine))
        .where(func.coalesce(_INBOX.c.state, "").not_in(SETTLED), ~_is_kept(source.c.event_id))
        .order_by(source.c.position)
    )


def _is_kept(event_id: ColumnElement[Any], who: ColumnElement[str] = WHO) -> ColumnElement[bool]:
    return exists().where(_LETTER.c.key == who + "/" + event_id)


_RANGE = (_LOG.c.position > bindparam("after", type_=BIG), _LOG.c.position <= bindparam("end", type_=BIG))
_OF_TYPE = _LOG.c.type == bindparam("type")
#: Nobody is to have what was erased, so it counts as settled.
_IS_THERE = _LOG.c.erased_at.is_(None)
_OPEN = with_inbox(_LOG, bindparam("never", None, UtcDateTime)).where(*_RANGE, _IS_THERE)
_OPEN_OF_TYPE = _OPEN.where(_OF_TYPE)
_OLDEST = (func.count(), func.min(_LOG.c.position), func.min(_LOG.c.published_at, type_=UtcDateTime))
_SUMMARY = select(*_OLDEST).where(*_RANGE, _IS_THERE, ~settled(_LOG.c.event_id))
_SUMMARY_OF_TYPE = _SUMMARY.where(_OF_TYPE)
_END = (
    select(_LOG.c.position)
    .where(_OF_TYPE, _LOG.c.position > bindparam("after", type_=BIG))
    .order_by(_LOG.c.position)
    .offset(bindparam("skip", type_=BIG))
    .limit(1)
)
_COUNT_OF_TYPE = select(func.count()).select_from(_LOG).where(_OF_TYPE, _LOG.c.position > bindparam("after", type_=BIG))


def _probe(*conditions: ColumnElement[bool]) -> Select[Any]:
    some = (
        select(_LOG.c.event_id, _LOG.c.published_at)
        .where(*_RANGE, *conditions)
        .order_by(_LOG.c.position)
        .limit(_PROBED)
        .subquery()
    )
    mine = and_(_INBOX.c.event_id == some.c.event_id, _INBOX.c.consumer == WHO)
    return select(func.max(some.c.published_at, type_=UtcDateTime)).select_from(some.join(_INBOX, mine))


_PROBE, _PROBE_OF_TYPE = _probe(), _probe(_OF_TYPE)


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
    failed_at: datetime | None
    #: While it is retrying: when its copy returns.
    retry_at: datetime | None


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
    asked = _each(consumer, types, after, end)
    rows = [row for query in asked for row in _rows(session, _OPEN, _OPEN_OF_TYPE, query)]
    return sorted((Open(*row) for row in rows), key=lambda one: one.position)


def summary_between(session: Session, consumer: str, types: Sequence[str], after: int, end: int) -> Summary:
    """The same, counted."""
    asked = _each(consumer, types, after, end)
    return merged([Summary(*row) for query in asked for row in _rows(session, _SUMMARY, _SUMMARY_OF_TYPE, query)])


def count_after(session: Session, types: Sequence[str], after: int, last: int) -> int:
    """Events of these types after a position, settled or not."""
    if _takes_all(types):
        return max(0, last - after)
    query = [{"type": each, "after": after} for each in types]
    return sum(int(session.connection().execute(_COUNT_OF_TYPE, one).scalar_one()) for one in query)


def came_through(session: Session, consumer: str, types: Sequence[str], after: int, last: int) -> datetime | None:
    """When a late event was published that this consumer has been given, for all of its kind go through one queue.

    It is looked for at some places after a position only, from the log's end down: which one it is does not matter.
    """
    for part in range(_PROBES, 0, -1):
        below = after + (last - after) * (part - 1) // _PROBES
        for query in _each(consumer, types, max(below, last - _PROBED) if part == _PROBES else below, last):
            (found,) = _rows(session, _PROBE, _PROBE_OF_TYPE, query)
            if found[0] is not None:
                at: datetime = found[0]
                return at
    return None


def merged(parts: Sequence[Summary]) -> Summary:
    """Several as one."""
    return Summary(
        sum(part.count for part in parts),
        min((part.position for part in parts if part.position is not None), default=None),
        min((part.published_at for part in parts if part.published_at is not None), default=None),
    )


def _takes_all(types: Sequence[str]) -> bool:
    return EVERY_TYPE in types


def _each(consumer: str, types: Sequence[str], after: int, end: int) -> Iterator[dict[str, Any]]:
    """One type at a time: each query then walks one range of one index, whatever else the log holds."""
    query = {"who": consumer, "after": after, "end": end}
    yield from [query] if _takes_all(types) else [{**query, "type": each} for each in types]


def _rows(session: Session, any_type: Any, one_type: Any, query: dict[str, Any]) -> Sequence[Any]:
    return session.connection().execute(one_type if "type" in query else any_type, query).all()
