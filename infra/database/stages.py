"""Where events of one type are: in the outbox, in the log, and at each consumer on their way to being settled."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Select, String, and_, bindparam, case, func, select
from sqlmodel import Session

from infra.database import event_log, settling
from infra.database.consumer_tables import Waiting
from infra.database.recovery_tables import DeadLetter, Unsettled
from infra.database.settling import WHO, settled
from infra.database.tables import BIG, EventLog, Inbox, Outbox, Subscription, UtcDateTime, table

_LOG, _OUTBOX, _INBOX = table(EventLog), table(Outbox), table(Inbox)
_LETTER, _UNSETTLED, _WAITING = table(DeadLetter), table(Unsettled), table(Waiting)
#: Events behind a consumer's scan that are looked at one by one; those beyond are pending, nearly all.
_LOOKED_AT = 10_000
_OPEN = ("waiting", "queued", "replaying")
_TYPE: BindParameter[str] = bindparam("type", type_=String)
_NOW = bindparam("now", type_=UtcDateTime)

_STATE = case(
    (_OUTBOX.c.set_aside.is_(True), "set_aside"), (_OUTBOX.c.available_at > _NOW, "waiting"), else_="accepted"
)
_IN_OUTBOX = select(_STATE.label("state"), func.count()).where(_OUTBOX.c.type == _TYPE).group_by("state")
_LAST = (
    select(_LOG.c.position, _LOG.c.published_at, _LOG.c.body)
    .where(_LOG.c.type == _TYPE, _LOG.c.erased_at.is_(None))
    .order_by(_LOG.c.position.desc())
    .limit(bindparam("most"))
)
_LETTERS = (
    select(_LETTER.c.consumer, _LETTER.c.reason, func.count())
    .where(_LETTER.c.state.in_(_OPEN), _LETTER.c.type == _TYPE)
    .group_by(_LETTER.c.consumer, _LETTER.c.reason)
)
_IN_ORDER = (
    select(func.count())
    .select_from(_WAITING.join(_LOG, _LOG.c.position == _WAITING.c.position))
    .where(_WAITING.c.consumer == WHO, _LOG.c.type == _TYPE)
)


def _states(source: Any) -> Select[Any]:
    """Rows of the log that are not settled, counted by what the inbox says of them."""
    mine = _INBOX.alias()  # `settled` looks into the inbox itself
    is_mine = and_(mine.c.event_id == _LOG.c.event_id, mine.c.consumer == WHO)
    return (
        select(mine.c.state, func.count())
        .select_from(source.outerjoin(mine, is_mine))
        .where(_LOG.c.type == _TYPE, _LOG.c.erased_at.is_(None), ~settled(_LOG.c.event_id))
        .group_by(mine.c.state)
    )


_LEFT_BEHIND = _states(_UNSETTLED.join(_LOG, _LOG.c.position == _UNSETTLED.c.position)).where(
    _UNSETTLED.c.consumer == WHO
)
_AHEAD = _states(_LOG).where(
    _LOG.c.position > bindparam("after", type_=BIG), _LOG.c.position <= bindparam("end", type_=BIG)
)


@dataclass(frozen=True, slots=True)
class Published:
    """One event of the log."""

    position: int
    at: datetime
    body: str


@dataclass(frozen=True, slots=True)
class AtConsumer:
    """Events of one type that one consumer has not settled."""

    #: On its way to it, in its queue, or at work.
    pending: int
    #: Failed, and comes back.
    retrying: int
    #: Held back for an earlier one of its subject; not among the pending.
    in_order: int


def in_outbox(session: Session, event_type: str, now: datetime) -> Mapping[str, int]:
    """How many wait in the outbox, by state: `accepted`, `waiting` (for their time), `set_aside`."""
    rows = session.connection().execute(_IN_OUTBOX, {"type": event_type, "now": now})
    return {state: count for state, count in rows}  # noqa: C416  # rows are no pairs to mypy


def newest(session: Session, event_type: str, most: int) -> list[Published]:
    """The events that were published last, the newest first."""
    return [Published(*row) for row in session.connection().execute(_LAST, {"type": event_type, "most": most})]


def published_within(session: Session, event_type: str, span: timedelta, now: datetime) -> int:
    """How many were published in the last so much time: a range of an index, about."""
    after, last = event_log.position_at(session, now - span), event_log.last_position(session)
    return settling.count_after(session, [event_type], after, last)


def letters(session: Session, event_type: str) -> dict[str, Counter[str]]:
    """Open dead letters by consumer and reason."""
    found: dict[str, Counter[str]] = {}
    for consumer, reason, count in session.connection().execute(_LETTERS, {"type": event_type}):
        found.setdefault(consumer, Counter())[reason] = count
    return found


def at_consumer(session: Session, row: Subscription, event_type: str, last: int) -> AtConsumer:
    """What one consumer that takes the type has not settled of it, `last` being the log's last position."""
    asked = {"who": row.consumer, "type": event_type}
    end = settling.slice_end(session, [event_type], row.scanned, last, _LOOKED_AT)
    states: Counter[str | None] = Counter()
    for statement in (_LEFT_BEHIND, _AHEAD):
        query = {**asked, "after": row.scanned, "end": end} if statement is _AHEAD else asked
        for state, count in session.connection().execute(statement, query):
            states[state] += count
    in_order = int(session.connection().execute(_IN_ORDER, asked).scalar_one())
    beyond = settling.count_after(session, [event_type], end, last)
    retrying = states.pop("retrying", 0)
    return AtConsumer(max(0, states.total() + beyond - in_order), retrying, in_order)
