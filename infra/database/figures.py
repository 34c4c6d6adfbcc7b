"""What happened in a span of time, in numbers: each is a range of a key or of an index, however long the tables are."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.sql import ColumnElement
from sqlmodel import Session

from events.attributes import lowest_id
from infra.database import event_log
from infra.database.recovery_tables import DeadLetter
from infra.database.schedule_tables import ScheduleGap
from infra.database.tables import Effect, EventLog, Inbox, User, table

_USERS, _LOG, _INBOX, _EFFECT = table(User), table(EventLog), table(Inbox), table(Effect)
_LETTER, _GAP = table(DeadLetter), table(ScheduleGap)
_DAY = timedelta(days=1)
_NOT_CLOSED = ("waiting", "queued", "replaying")


def _made(id_: ColumnElement[str]) -> tuple[ColumnElement[bool], ...]:
    """Those whose UUIDv7 was made in the span."""
    return (id_ >= bindparam("first"), id_ < bindparam("below"))


def _published() -> tuple[ColumnElement[bool], ...]:
    return (_LOG.c.position > bindparam("after"), _LOG.c.position <= bindparam("upto"))


def _slowest(dialect: str) -> Select[Any]:
    ends = (_INBOX.c.handled_at, _LOG.c.published_at)
    if dialect == "sqlite":
        begun, ended = (func.julianday(each) for each in reversed(ends))
        seconds = (ended - begun) * 86_400.0
    else:
        seconds = func.extract("epoch", ends[0] - ends[1])
    return (
        select(_INBOX.c.consumer, _LOG.c.type, _LOG.c.event_id, seconds.label("seconds"))
        .join_from(_LOG, _INBOX, _INBOX.c.event_id == _LOG.c.event_id)
        .where(
            *_published(),
            _INBOX.c.event_id >= bindparam("early"),
            _INBOX.c.event_id < bindparam("below"),
            _INBOX.c.handled_at.is_not(None),
        )
        .order_by(seconds.desc())
        .limit(1)
    )


_REGISTRATIONS = select(func.count()).select_from(_USERS).where(*_made(_USERS.c.id))
_MAILS = (
    select(func.count())
    .select_from(_EFFECT)
    .where(*_made(_EFFECT.c.event_id), _EFFECT.c.kind == "mail", _EFFECT.c.state == "sent")
)
_DIED = select(func.count()).select_from(_LETTER).where(*_made(_LETTER.c.id))
_OPEN = select(func.count()).select_from(_LETTER).where(_LETTER.c.state.in_(_NOT_CLOSED))
_MISSED = select(func.coalesce(func.sum(_GAP.c.due - _GAP.c.fired), 0)).where(
    *_made(_GAP.c.id), _GAP.c.reason == "missed"
)
_EVENTS = (
    select(_LOG.c.type, func.count())
    .where(_LOG.c.type.in_(bindparam("types", expanding=True)), *_published())
    .group_by(_LOG.c.type)
    .order_by(_LOG.c.type)
)
_SLOWEST = {dialect: _slowest(dialect) for dialect in ("sqlite", "postgresql")}


@dataclass(frozen=True, slots=True)
class Road:
    """How long one event took from its publication to the end of one consumer's work."""

    consumer: str
    type: str
    event_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One span of time."""

    registrations: int
    #: By type, without those of which there were none.
    events: dict[str, int]
    #: Sent, of the span's events.
    mails: int
    dead_letters: int
    #: Dead letters that wait for an operator now, of whatever age.
    open_dead_letters: int
    missed_fires: int
    slowest: Road | None


def of(session: Session, since: datetime, until: datetime, types: Collection[str]) -> Figures:
    """Count what happened from `since` on and before `until`; events of these types."""
    connection = session.connection()
    made = {"first": lowest_id(since), "below": lowest_id(until)}
    published = {"after": event_log.position_at(session, since), "upto": event_log.position_at(session, until)}
    # What was made long before it was published was held back, and is looked for no further.
    inbox = {"early": lowest_id(since - _DAY), "below": made["below"]}
    slowest = connection.execute(_SLOWEST[connection.dialect.name], published | inbox).one_or_none()
    return Figures(
        registrations=connection.execute(_REGISTRATIONS, made).scalar_one(),
        events={row[0]: row[1] for row in connection.execute(_EVENTS, {**published, "types": list(types)})},
        mails=connection.execute(_MAILS, made).scalar_one(),
        dead_letters=connection.execute(_DIED, made).scalar_one(),
        open_dead_letters=connection.execute(_OPEN).scalar_one(),
        missed_fires=int(connection.execute(_MISSED, made).scalar_one()),
        slowest=None
        if slowest is None
        else Road(slowest.consumer, slowest.type, slowest.event_id, float(slowest.seconds)),
    )
