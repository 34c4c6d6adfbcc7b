"""What is old enough to go, and what must stay all the same: the rules of each table on one screen.

An event stays in the log until every recorded consumer has settled it; its inbox rows and its closed dead letters stay
as long as it does, for the sweep and every replay go by them. So nothing that is removed makes a handler run again.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, bindparam, delete, exists, func, or_, select, update
from sqlmodel import Session

from infra.database.consumer_tables import Backfill
from infra.database.job_files import CLOSED as OVER
from infra.database.job_tables import Job, JobFile
from infra.database.letters import CLOSED
from infra.database.operations import OPEN
from infra.database.recovery_tables import Audit, DeadLetter, Operation, Resend, Unsettled
from infra.database.schedule_runs import DUE, FIRED, MISSED, ORDERED
from infra.database.schedule_tables import ScheduleGap
from infra.database.tables import (
    BIG,
    Activity,
    Effect,
    EventLog,
    Idempotency,
    Inbox,
    Outbox,
    ScheduleRun,
    Subscription,
    UtcDateTime,
    table,
)
from infra.database.walks import Walk

_LOG, _OUTBOX, _INBOX, _EFFECT = table(EventLog), table(Outbox), table(Inbox), table(Effect)
_LETTER, _RESEND, _UNSETTLED = table(DeadLetter), table(Resend), table(Unsettled)
_RUN, _GAP, _ACTIVITY = table(ScheduleRun), table(ScheduleGap), table(Activity)
_IDEMPOTENCY, _OPERATION, _AUDIT = table(Idempotency), table(Operation), table(Audit)
_JOB, _FILE = table(Job), table(JobFile)
_SUBSCRIPTION, _BACKFILL = table(Subscription), table(Backfill)

#: Where walks begin: before the first position, id and moment.
FIRST_POSITION, FIRST_ID, FIRST_MOMENT = 0, "", datetime(1, 1, 1, tzinfo=UTC)
#: Parameters: rows from before this moment may go …
_OLD: BindParameter[datetime] = bindparam("old", type_=UtcDateTime)
#: … of the log up to this position; …
_UPTO: BindParameter[int] = bindparam("upto", type_=BIG)
#: … events above this position hold what belongs to them (a dry run counts those below as gone); …
_GONE: BindParameter[int] = bindparam("gone", type_=BIG)
#: … ids are walked through up to this one.
_BELOW: BindParameter[str] = bindparam("below")


def _is_in_log(event_id: ColumnElement[Any]) -> ColumnElement[bool]:
    return exists().where(_LOG.c.event_id == event_id, _LOG.c.position > _GONE)


def _has_open_letter(event_id: ColumnElement[Any]) -> ColumnElement[bool]:
    return exists().where(_LETTER.c.event_id == event_id, _LETTER.c.state.not_in(CLOSED))


def _is_recorded(consumer: ColumnElement[Any]) -> ColumnElement[bool]:
    return exists().where(_SUBSCRIPTION.c.consumer == consumer)


#: By consumer and key, each of which is one look into an index.
_IS_UNSETTLED = exists().where(
    _UNSETTLED.c.consumer == _SUBSCRIPTION.c.consumer, _UNSETTLED.c.position == _LOG.c.position
)
_IS_RESENT = exists().where(_RESEND.c.consumer == _SUBSCRIPTION.c.consumer, _RESEND.c.event_id == _LOG.c.event_id)

EVENT_LOG = Walk(
    _LOG,
    _LOG.c.position,
    within=[_LOG.c.position <= _UPTO],
    may_go=[_LOG.c.published_at < _OLD, ~_IS_UNSETTLED, ~_IS_RESENT, ~_has_open_letter(_LOG.c.event_id)],
)

#: The handler is through and effects are owed: whoever brings the event again must know.
_OWES = (_INBOX.c.state == "committed") & _is_recorded(_INBOX.c.consumer)
_INBOX_MAY_GO = [
    _INBOX.c.first_at < _OLD,
    *(or_(moment.is_(None), moment < _OLD) for moment in (_INBOX.c.handled_at, _INBOX.c.failed_at, _INBOX.c.retry_at)),
    ~_OWES,
    _INBOX.c.consumer.not_in(bindparam("behind", expanding=True)),
    ~_is_in_log(_INBOX.c.event_id),
    ~_has_open_letter(_INBOX.c.event_id),
    ~exists().where(_OUTBOX.c.event_id == _INBOX.c.event_id),
    ~exists().where(_RESEND.c.consumer == _INBOX.c.consumer, _RESEND.c.event_id == _INBOX.c.event_id),
]
_EFFECTS_OF_NONE = delete(_EFFECT).where(
    _EFFECT.c.event_id > bindparam("after"),
    _EFFECT.c.event_id <= bindparam("end"),
    ~exists().where(_INBOX.c.event_id == _EFFECT.c.event_id, _INBOX.c.consumer == _EFFECT.c.consumer),
)
#: Ids begin with their time (RFC 9562, UUIDv7), so the old ones are one range of keys …
INBOX = Walk(
    _INBOX, _INBOX.c.event_id, within=[_INBOX.c.event_id < _BELOW], may_go=_INBOX_MAY_GO, along=[_EFFECTS_OF_NONE]
)
#: … except those that foreign programs made in another way: nearly all of these lie beyond the present.
INBOX_FOREIGN = Walk(_INBOX, _INBOX.c.event_id, may_go=_INBOX_MAY_GO, along=[_EFFECTS_OF_NONE])

#: Of one state at a time, along the index of states.
DEAD_LETTER = Walk(
    _LETTER,
    _LETTER.c.id,
    within=[_LETTER.c.state == bindparam("state"), _LETTER.c.id < _BELOW],
    may_go=[
        _LETTER.c.closed_at < _OLD,
        _LETTER.c.operation_id.is_(None),
        or_(_LETTER.c.event_id.is_(None), ~_is_in_log(_LETTER.c.event_id)),
    ],
)
ACTIVITY = Walk(_ACTIVITY, _ACTIVITY.c.time, _ACTIVITY.c.event_id, within=[_ACTIVITY.c.time < _OLD])
#: Of one schedule at a time; `kept` are the due times that the scheduler counts from.
SCHEDULE_RUN = Walk(
    _RUN,
    _RUN.c.due_at,
    within=[_RUN.c.schedule == bindparam("schedule"), _RUN.c.due_at < _OLD],
    may_go=[
        _RUN.c.fired_at < _OLD,
        _RUN.c.state != ORDERED,
        _RUN.c.due_at.not_in(bindparam("kept", expanding=True, type_=UtcDateTime)),
    ],
)
SCHEDULE_GAP = Walk(_GAP, _GAP.c.id, within=[_GAP.c.id < _BELOW], may_go=[_GAP.c.found_at < _OLD])
IDEMPOTENCY = Walk(
    _IDEMPOTENCY, _IDEMPOTENCY.c.created_at, _IDEMPOTENCY.c.key, within=[_IDEMPOTENCY.c.created_at < _OLD]
)
OPERATION = Walk(
    _OPERATION,
    _OPERATION.c.id,
    within=[_OPERATION.c.id < _BELOW],
    may_go=[
        _OPERATION.c.finished_at < _OLD,
        _OPERATION.c.state.not_in(OPEN),
        ~exists().where(_LETTER.c.operation_id == _OPERATION.c.id),
        ~exists().where(_RUN.c.state == ORDERED, _RUN.c.operation_id == _OPERATION.c.id),
    ],
    along=[delete(_BACKFILL).where(~exists().where(_OPERATION.c.id == _BACKFILL.c.operation_id))],
)
AUDIT = Walk(_AUDIT, _AUDIT.c.id, within=[_AUDIT.c.id < _BELOW], may_go=[_AUDIT.c.at < _OLD])
#: A job stays as long as its files do (a dry run counts those that have expired as gone), and while its dead letter can
#: be replayed: that runs it again.
JOB = Walk(
    _JOB,
    _JOB.c.id,
    within=[_JOB.c.id < _BELOW],
    may_go=[
        _JOB.c.finished_at < _OLD,
        _JOB.c.state.in_(OVER),
        ~_has_open_letter(_JOB.c.event_id),
        ~exists().where(
            _FILE.c.job_id == _JOB.c.id,
            _FILE.c.key.is_not(None),
            or_(_FILE.c.expires_at.is_(None), _FILE.c.expires_at >= bindparam("expired", type_=UtcDateTime)),
        ),
    ],
    along=[
        delete(_FILE).where(
            _FILE.c.job_id > bindparam("after"),
            _FILE.c.job_id <= bindparam("end"),
            ~exists().where(_JOB.c.id == _FILE.c.job_id),
        )
    ],
)
#: What is left of consumers that are none any more; a replay for one of them comes back to its letter.
UNSETTLED = Walk(
    _UNSETTLED,
    _UNSETTLED.c.position,
    within=[_UNSETTLED.c.consumer == bindparam("consumer"), ~_is_recorded(_UNSETTLED.c.consumer)],
)
RESEND = Walk(
    _RESEND,
    _RESEND.c.sequence,
    within=[_RESEND.c.added_at < _OLD, ~_is_recorded(_RESEND.c.consumer)],
    along=[
        update(_LETTER)
        .where(
            _LETTER.c.state == "replaying",
            ~_is_recorded(_LETTER.c.consumer),
            ~exists().where(_RESEND.c.dead_letter_id == _LETTER.c.id),
        )
        .values(state="waiting", error="No consumer of this name is declared any more.")
    ],
)


_NEWEST = select(_RUN.c.due_at).where(_RUN.c.schedule == bindparam("schedule")).order_by(_RUN.c.due_at.desc()).limit(1)
_KEPT = (
    _NEWEST.where(_RUN.c.state != ORDERED),
    _NEWEST.where(_RUN.c.state == FIRED),
    _NEWEST.where(_RUN.c.kind.in_((DUE, MISSED))),
)
_NEXT_SCHEDULE = select(func.min(_RUN.c.schedule)).where(_RUN.c.schedule > bindparam("after"))
_LEFT_BEHIND = select(_UNSETTLED.c.consumer).distinct().where(~_is_recorded(_UNSETTLED.c.consumer))


def kept_runs(session: Session, schedule: str) -> set[datetime]:
    """The due times of a schedule from which the scheduler counts, or at which somebody looks as at its last run."""
    found = (session.connection().execute(query, {"schedule": schedule}).scalar() for query in _KEPT)
    return {due for due in found if due is not None}


def schedules(session: Session) -> Iterator[str]:
    """All that the ledger knows, on the timetable or not; one look into its index each."""
    name = session.connection().execute(_NEXT_SCHEDULE, {"after": ""}).scalar()
    while name is not None:
        yield name
        name = session.connection().execute(_NEXT_SCHEDULE, {"after": name}).scalar()


def gone_consumers(session: Session) -> list[str]:
    """Consumers that are recorded no more, of which the sweep's scan has left rows behind."""
    return list(session.connection().execute(_LEFT_BEHIND).scalars())
