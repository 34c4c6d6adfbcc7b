"""Jobs that nobody will end any more: what became of their message, they were not told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Join, Subquery, and_, bindparam, case, exists, null, or_, select, update
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
_FACTS = select(_JOB.c.id, _JOB.c.kind, _JOB.c.event_id, _IS_FREE.label("is_free"))


def _why(job: Subquery) -> ColumnElement[str]:
    """What became of a job's message, as the inbox and the dead letters tell it; null while its end may come yet."""
    event, kind = job.c.event_id, job.c.kind
    is_on_its_way = or_(
        *(exists().where(each.c.event_id == event) for each in (_OUTBOX, _LOG)),
        exists().where(_RESEND.c.event_id == event, _RESEND.c.consumer == kind),
    )
    has_consumer = exists().where(_SUBSCRIPTION.c.consumer == kind)
    return case(
        (~job.c.is_free, null()),
        (and_(_INBOX.c.state == "dead", _LETTER.c.state == "waiting"), "given up"),
        (and_(_INBOX.c.state == "dead", _LETTER.c.state == "discarded"), "discarded"),
        (and_(_INBOX.c.state == "dead", _LETTER.c.state == "superseded"), "superseded"),
        (_INBOX.c.state.in_(SETTLED), "settled"),
        (~has_consumer, "retired"),
        (and_(_INBOX.c.state.is_(None), _LETTER.c.state.is_(None), ~is_on_its_way), "gone"),
        else_=null(),
    )


def _known(job: Subquery) -> Join:
    """These jobs, each with its entry in the inbox and its dead letter."""
    event, kind = job.c.event_id, job.c.kind
    return job.outerjoin(_INBOX, and_(_INBOX.c.event_id == event, _INBOX.c.consumer == kind)).outerjoin(
        _LETTER, _LETTER.c.key == kind + "/" + event
    )


_SOME = (
    _FACTS.where(_JOB.c.state == bindparam("state"), _JOB.c.id > bindparam("after"))
    .order_by(_JOB.c.id)
    .limit(bindparam("most"))
    .subquery()
)
_LOOK = (
    select(_SOME.c.id, _SOME.c.kind, _SOME.c.event_id, _why(_SOME).label("why"), _LETTER.c.reason, _LETTER.c.error)
    .select_from(_known(_SOME))
    .order_by(_SOME.c.id)
)
_ONE = _FACTS.where(_JOB.c.id == bindparam("job")).subquery()
#: An operator may have sent its message again since the look.
_IS_STILL_SO = select(_why(_ONE)).select_from(_known(_ONE)).scalar_subquery() == bindparam("why")
_WAS_CANCELLED = _JOB.c.cancelled_at.is_not(None)
_END = (
    update(_JOB)
    .where(_JOB.c.id == bindparam("job"), _JOB.c.state.in_(STATES), _IS_FREE, _IS_STILL_SO)
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


def end(session: Session, job: Stranded, text: str) -> str | None:
    """Let it be over; gives its state then, None when it has ended, or may end by its message or a worker after all."""
    query = {"job": job.id, "why": job.why, "text": text, "now": datetime.now(UTC)}
    state = session.connection().execute(_END, query).scalar()
    return None if state is None else str(state)
