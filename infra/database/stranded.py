"""Jobs that nobody will end any more: what became of their message, they were not told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, exists, null, or_, select, update
from sqlmodel import Session

from infra.database.inbox import SETTLED
from infra.database.job_tables import Job
from infra.database.recovery_tables import DeadLetter, Resend
from infra.database.tables import EventLog, Inbox, Outbox, Subscription, UtcDateTime, table

_JOB, _INBOX, _LETTER = table(Job), table(Inbox), table(DeadLetter)
_OUTBOX, _LOG, _RESEND, _SUBSCRIPTION = table(Outbox), table(EventLog), table(Resend), table(Subscription)
#: States in which a job is waited for.
STATES = ("queued", "running", "retrying")
_NOW: Any = bindparam("now", type_=UtcDateTime)
#: One that works on it ends it, or its message comes again.
_IS_FREE = or_(_JOB.c.busy_until.is_(None), _JOB.c.busy_until < _NOW)
_SOME = (
    select(_JOB.c.id, _JOB.c.kind, _JOB.c.event_id, _IS_FREE.label("is_free"))
    .where(_JOB.c.state == bindparam("state"), _JOB.c.id > bindparam("after"))
    .order_by(_JOB.c.id)
    .limit(bindparam("most"))
    .subquery()
)
_EVENT = _SOME.c.event_id
_IS_ON_ITS_WAY = or_(
    *(exists().where(each.c.event_id == _EVENT) for each in (_OUTBOX, _LOG)),
    exists().where(_RESEND.c.event_id == _EVENT, _RESEND.c.consumer == _SOME.c.kind),
)
_HAS_CONSUMER = exists().where(_SUBSCRIPTION.c.consumer == _SOME.c.kind)
_WHY = case(
    (~_SOME.c.is_free, null()),
    (and_(_INBOX.c.state == "dead", _LETTER.c.state == "waiting"), "given up"),
    (and_(_INBOX.c.state == "dead", _LETTER.c.state == "discarded"), "discarded"),
    (and_(_INBOX.c.state == "dead", _LETTER.c.state == "superseded"), "superseded"),
    (_INBOX.c.state.in_(SETTLED), "settled"),
    (~_HAS_CONSUMER, "retired"),
    (and_(_INBOX.c.state.is_(None), _LETTER.c.state.is_(None), ~_IS_ON_ITS_WAY), "gone"),
    else_=null(),
)
_LOOK = (
    select(_SOME.c.id, _SOME.c.kind, _EVENT, _WHY.label("why"), _LETTER.c.reason, _LETTER.c.error)
    .select_from(
        _SOME.outerjoin(_INBOX, and_(_INBOX.c.event_id == _EVENT, _INBOX.c.consumer == _SOME.c.kind)).outerjoin(
            _LETTER, _LETTER.c.key == _SOME.c.kind + "/" + _EVENT
        )
    )
    .order_by(_SOME.c.id)
)
_WAS_CANCELLED = _JOB.c.cancelled_at.is_not(None)
_END = (
    update(_JOB)
    .where(_JOB.c.id == bindparam("job"), _JOB.c.state.in_(STATES), _IS_FREE)
    .values(
        state=case((_WAS_CANCELLED, "cancelled"), else_="failed"),
        error=bindparam("text"),
        finished_at=_NOW,
        updated_at=_NOW,
        owner=None,
        busy_until=None,
        retry_at=None,
    )
    .returning(_JOB.c.state)
)


@dataclass(frozen=True, slots=True)
class Stranded:
    """A job that waits for an end which nobody will bring."""

    id: str
    kind: str
    event_id: str
    #: `given up`, `discarded`, `superseded`, `settled`, `retired` or `gone`.
    why: str
    #: What its dead letter says, if there is one.
    reason: str | None = None
    error: str | None = None


def look(session: Session, state: str, *, after: str, most: int) -> tuple[list[Stranded], str | None]:
    """Those among so many of the jobs in this state after an id; and the last id, if there may be more behind it."""
    query = {"state": state, "after": after, "most": most, "now": datetime.now(UTC)}
    rows: Sequence[Any] = session.connection().execute(_LOOK, query).all()
    return [Stranded(*row) for row in rows if row.why is not None], rows[-1].id if len(rows) == most else None


def end(session: Session, job_id: str, text: str) -> str | None:
    """Let it be over; gives its state then, None when somebody else has ended it, or works on it now."""
    state = session.connection().execute(_END, {"job": job_id, "text": text, "now": datetime.now(UTC)}).scalar()
    return None if state is None else str(state)
