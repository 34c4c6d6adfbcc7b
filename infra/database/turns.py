"""Whose turn it is: where an event stands among those of its subject, and the first of these that has not ended.

The order is that of the log. An event has *ended* at a consumer when it is handled, or passed over by its `where`, or
given up; a replay opens it again until that has ended. Not every event before it is looked at: up to its scanned
position a consumer has settled what it has no row in `unsettled` for. And whoever asks may know up to where all of the
subject had ended when they looked last: that holds unless somebody opens what had ended, which `is_stirred` says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, String, and_, bindparam, case, exists, func, or_, select
from sqlmodel import Session

from infra.database.consumer_tables import Backfill
from infra.database.inbox import SETTLED
from infra.database.recovery_tables import DeadLetter, Operation, Unsettled
from infra.database.tables import BIG, EventLog, Inbox, Outbox, Subscription, table
from infra.subscriptions import EVERY_TYPE

_LOG, _OUTBOX, _INBOX, _SUBSCRIPTION = table(EventLog), table(Outbox), table(Inbox), table(Subscription)
_LETTER, _UNSETTLED = table(DeadLetter), table(Unsettled)
_BACKFILL, _OPERATION = table(Backfill), table(Operation)
_KEPT, _BEFORE_IT = _LETTER.alias(), _LOG.alias()
#: Inbox states of an event that lets the next one of its subject go.
ENDED = ("handled", "filtered", "erased", "dead")
#: Events of one subject that one statement looks at.
_PAGE = 200
_WHO: BindParameter[str] = bindparam("who", type_=String)
_SUBJECT: BindParameter[str] = bindparam("subject", type_=String)
_AFTER: BindParameter[int] = bindparam("after", type_=BIG)
_BEFORE: BindParameter[int] = bindparam("before", type_=BIG)
_SCANNED: BindParameter[int] = bindparam("scanned", type_=BIG)


@dataclass(frozen=True, slots=True)
class Place:
    """An event at a consumer."""

    position: int
    event_id: str
    type: str
    #: None: it has no order.
    subject: str | None
    #: What the inbox has of it.
    state: str | None
    attempts: int | None
    error: str | None
    handled_at: datetime | None
    retry_at: datetime | None
    #: State of the dead letter, if there is one.
    letter: str | None
    #: Of the consumer: from where it counts, and up to where it was scanned.
    since: int
    scanned: int
    #: Position of the event of the same subject before it, for whomever that is.
    previous: int | None
    #: Events that had ended may be open again: one of the subject is replayed, or the past is sent to the consumer.
    is_stirred: bool

    @property
    def is_kept(self) -> bool:
        """It was given up, and waits for an operator or was closed by one."""
        return self.letter not in {None, "replaying", "handled"} and self.state not in SETTLED

    @property
    def has_ended(self) -> bool:
        """It keeps nobody waiting."""
        return self.state in ENDED or self.is_kept

    def is_first_after(self, floor: int) -> bool:
        """Whether nothing before it need be looked at, all up to there having ended."""
        return not self.is_stirred and self.position > self.since and (self.previous or 0) <= max(self.since, floor)

    @property
    def has_begun(self) -> bool:
        """Its handler is through, so that its turn has come long ago."""
        return self.handled_at is not None


def _is_kept(event_id: ColumnElement[Any]) -> ColumnElement[bool]:
    return exists().where(_KEPT.c.key == _WHO + "/" + event_id, _KEPT.c.state != "replaying")


def _mine(event_id: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(_INBOX.c.event_id == event_id, _INBOX.c.consumer == _WHO)


def _is_open(event_id: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(func.coalesce(_INBOX.c.state, "").not_in(ENDED), ~_is_kept(event_id))


_PAST = (
    select(
        _BACKFILL.c.types,
        _BACKFILL.c.settled,
        case((_OPERATION.c.state == "running", _BACKFILL.c.until), else_=_BACKFILL.c.sent),
    )
    .join_from(_BACKFILL, _OPERATION, _OPERATION.c.id == _BACKFILL.c.operation_id)
    .where(_BACKFILL.c.consumer == _WHO, _OPERATION.c.state.in_(("running", "stopping")))
)
_OF_REPLAYS = (_LETTER.c.state == "replaying", _LETTER.c.consumer == _WHO)


def _place(condition: ColumnElement[bool]) -> Any:
    return (
        select(
            _LOG.c.position,
            _LOG.c.event_id,
            _LOG.c.type,
            _LOG.c.subject,
            _INBOX.c.state,
            _INBOX.c.attempts,
            _INBOX.c.error,
            _INBOX.c.handled_at,
            _INBOX.c.retry_at,
            select(_LETTER.c.state).where(_LETTER.c.key == _WHO + "/" + _LOG.c.event_id).scalar_subquery(),
            func.coalesce(_SUBSCRIPTION.c.since, 0),
            func.coalesce(_SUBSCRIPTION.c.scanned, 0),
            select(func.max(_BEFORE_IT.c.position))
            .where(_BEFORE_IT.c.subject == _LOG.c.subject, _BEFORE_IT.c.position < _LOG.c.position)
            .scalar_subquery(),
            or_(exists().where(*_OF_REPLAYS, _LETTER.c.subject == _LOG.c.subject), _PAST.exists()),
        )
        .select_from(
            _LOG.outerjoin(_INBOX, _mine(_LOG.c.event_id)).outerjoin(_SUBSCRIPTION, _SUBSCRIPTION.c.consumer == _WHO)
        )
        .where(condition)
    )


_PLACE = _place(_LOG.c.event_id == bindparam("event"))
_PLACE_AT = _place(_LOG.c.position == bindparam("position", type_=BIG))
_IS_ANNOUNCED = select(_OUTBOX.c.sequence).where(_OUTBOX.c.event_id == bindparam("event"))
#: Nobody is to have what was erased, so nobody waits for it.
_IS_THERE = _LOG.c.erased_at.is_(None)
_RANGE = (_LOG.c.subject == _SUBJECT, _LOG.c.position > _AFTER, _LOG.c.position < _BEFORE, _IS_THERE)
_OF_TYPES = _LOG.c.type.in_(bindparam("types", expanding=True))


def _page(*conditions: ColumnElement[bool]) -> Any:
    """Of some events of a subject: the first that is open, the last one looked at, and how many there are."""
    some = (
        select(_LOG.c.position, _LOG.c.event_id)
        .where(*_RANGE, *conditions)
        .order_by(_LOG.c.position)
        .limit(_PAGE)
        .subquery()
    )
    is_left = exists().where(_UNSETTLED.c.consumer == _WHO, _UNSETTLED.c.position == some.c.position)
    is_open = and_(or_(some.c.position > _SCANNED, is_left), _is_open(some.c.event_id))
    return select(func.min(case((is_open, some.c.position))), func.max(some.c.position), func.count()).select_from(
        some.outerjoin(_INBOX, _mine(some.c.event_id))
    )


def _left(*conditions: ColumnElement[bool]) -> Any:
    """The same by what the scan left behind: for a subject with a long history."""
    return (
        select(func.min(_UNSETTLED.c.position))
        .select_from(
            _UNSETTLED.join(_LOG, _LOG.c.position == _UNSETTLED.c.position).outerjoin(_INBOX, _mine(_LOG.c.event_id))
        )
        .where(
            _UNSETTLED.c.consumer == _WHO,
            _UNSETTLED.c.position > _AFTER,
            _UNSETTLED.c.position <= _SCANNED,
            _UNSETTLED.c.position < _BEFORE,
            func.coalesce(_LOG.c.subject, "") == _SUBJECT,  # no index of the log is to be chosen
            _is_open(_LOG.c.event_id),
            _IS_THERE,
            *conditions,
        )
    )


_PAGE_OF_ALL, _PAGE_OF_TYPES = _page(), _page(_OF_TYPES)
_LEFT_OF_ALL, _LEFT_OF_TYPES = _left(), _left(_OF_TYPES)
_REPLAYED = (
    select(func.min(_LOG.c.position))
    .select_from(
        _LETTER.join(_LOG, _LOG.c.event_id == _LETTER.c.event_id).outerjoin(_INBOX, _mine(_LOG.c.event_id))
    )
    .where(
        *_OF_REPLAYS, _LETTER.c.subject == _SUBJECT, _LOG.c.position < _BEFORE, _is_open(_LOG.c.event_id), _IS_THERE,
    )
)  # fmt: skip


def place(session: Session, event_id: str, consumer: str) -> Place | None:
    """Where this event stands; None when the log does not have it (yet)."""
    row = session.connection().execute(_PLACE, {"event": event_id, "who": consumer}).one_or_none()
    return None if row is None else Place(*row)


def place_at(session: Session, position: int, consumer: str) -> Place | None:
    """The same of the event at a position of the log."""
    row = session.connection().execute(_PLACE_AT, {"position": position, "who": consumer}).one_or_none()
    return None if row is None else Place(*row)


def is_announced(session: Session, event_id: str) -> bool:
    """Whether the outbox has it still, so that it comes into the log in a moment."""
    return session.connection().execute(_IS_ANNOUNCED, {"event": event_id}).first() is not None


def first_open(session: Session, consumer: str, types: Sequence[str], one: Place, *, floor: int = 0) -> int | None:
    """Position of the first event of the same subject before this one that has not ended; None: its turn has come.

    All up to `floor` had ended before, by an earlier look. Events before the consumer's time do not count, unless they
    are sent to it now.
    """
    query: dict[str, Any] = {"who": consumer, "subject": one.subject, "before": one.position, "scanned": one.scanned}
    if EVERY_TYPE not in types:
        query["types"] = list(types)
    found = [_walk(session, query, max(one.since, floor))]
    if one.is_stirred:
        connection = session.connection()
        found.append(connection.execute(_REPLAYED, query).scalar())
        found += [_within(session, query, *past) for past in connection.execute(_PAST, {"who": consumer}).all()]
    if one.position <= one.since:  # it was sent, and so may others have been, the way of all that is not settled
        found.append(_walk(session, query, 0))
    return min((each for each in found if each is not None), default=None)


def _within(session: Session, query: dict[str, Any], types: list[str], settled: int, upto: int) -> int | None:
    """Of the part of the log that is sent to the consumer: all of it counts, sent or not."""
    part = {**query, "before": min(query["before"], upto + 1), "scanned": settled}
    return _walk(session, {**part, "types": types} if types else part, settled)


def _walk(session: Session, query: dict[str, Any], after: int) -> int | None:
    """Page by page; what is below the scanned position, if that is more than a page, by what was left there."""
    connection, before, scanned = session.connection(), query["before"], query["scanned"]
    page, left = (_PAGE_OF_TYPES, _LEFT_OF_TYPES) if "types" in query else (_PAGE_OF_ALL, _LEFT_OF_ALL)
    while after < before - 1:
        first, last, count = connection.execute(page, {**query, "after": after}).one()
        if first is not None or count < _PAGE:
            return None if first is None else int(first)
        if last < scanned:
            first = connection.execute(left, {**query, "after": last}).scalar()
            if first is not None:
                return int(first)
        after = max(last, min(scanned, before - 1))
    return None
