"""The places of all tables that may hold something about a person, and what erasing makes of their rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select

from infra.database.consumer_tables import Waiting
from infra.database.job_tables import Job, JobFile
from infra.database.personal import ERASED, Change, Person, Place, becomes, before, goes, named
from infra.database.personal_events import EVENTS, of_events
from infra.database.recovery_tables import Audit, Operation
from infra.database.schedule_tables import Schedule
from infra.database.tables import Activity, EventLog, Idempotency, Outbox, User, table

_USER, _ACTIVITY, _LOG, _OUTBOX = table(User), table(Activity), table(EventLog), table(Outbox)
_WAITING, _JOB, _FILE, _KEPT = table(Waiting), table(Job), table(JobFile), table(Idempotency)
_AUDIT, _OPERATION, _SCHEDULE = table(Audit), table(Operation), table(Schedule)
_OPEN = ("queued", "running", "retrying")


def _of_jobs(which: ColumnElement[bool], now: datetime) -> list[Change]:
    """Jobs about the person end, and their files are forgotten: whoever does it takes them out of the store."""
    ids = select(_JOB.c.id).where(which)
    gone: dict[str, Any] = {"key": None, "name": ERASED, "digest": ""}
    return [Change(_FILE, _FILE.c.job_id.in_(ids), gone), *_of_erasures(which, now)]


def _of_erasures(which: ColumnElement[bool], now: datetime) -> list[Change]:
    """The same of jobs that erase: their files are receipts, and stay."""
    events = select(_JOB.c.event_id).where(which)
    is_open = _JOB.c.state.in_(_OPEN)
    values = {
        "state": case((is_open, "cancelled"), else_=_JOB.c.state),
        "finished_at": func.coalesce(_JOB.c.finished_at, now),
        "parameters": {},
        "unique_key": None,
        "checkpoint": None,
        "progress_text": "",
        "error": case((_JOB.c.error.is_(None) & ~is_open, None), else_=ERASED),
        "owner": None,
        "busy_until": None,
        "retry_at": None,
        "updated_at": now,
    }
    return [
        Change(_OUTBOX, _OUTBOX.c.event_id.in_(events)),
        *of_events(_LOG.c.event_id.in_(events), now, is_mine=True),
        Change(_JOB, which, values),
    ]


def _jobs(person: Person) -> ColumnElement[bool]:
    texts = (_JOB.c.parameters, _JOB.c.checkpoint, _JOB.c.error, _JOB.c.progress_text)
    return and_(named(person, *texts, then=before(person, _JOB.c.created_at)), _JOB.c.id != person.job)


def _other_jobs(person: Person) -> ColumnElement[bool]:
    return and_(_jobs(person), _JOB.c.kind != person.kind)


def _erasures(person: Person) -> ColumnElement[bool]:
    """One that is at work goes on: it may be about somebody who has the address now, or be asked for anew."""
    return and_(_jobs(person), _JOB.c.kind == person.kind, _JOB.c.state.not_in(_OPEN))


def _answers(person: Person) -> ColumnElement[bool]:
    texts = (_KEPT.c.body, _KEPT.c.headers, _KEPT.c.key)
    return named(person, *texts, then=before(person, _KEPT.c.created_at))


def _deeds(person: Person) -> ColumnElement[bool]:
    texts = (_AUDIT.c.target, _AUDIT.c.why, _AUDIT.c.details)
    return named(person, *texts, then=before(person, _AUDIT.c.at))


def _operations(person: Person) -> ColumnElement[bool]:
    """One that goes on needs what it was asked, and would take nothing for everything."""
    texts, then = (_OPERATION.c.request, _OPERATION.c.message), before(person, _OPERATION.c.created_at)
    return named(person, *texts, then=then) & _OPERATION.c.finished_at.is_not(None)


def _all(of: Any) -> Sequence[str]:
    return [column.name for column in of.c]


_USERS = Place(
    _USER, [_USER.c.id], lambda person: _USER.c.id == person.id, goes(_USER), is_direct=True, told=_all(_USER)
)
_TOLD_OF_JOBS = ("id", "kind", "state", "parameters", "error", "requested_by", "created_at", "finished_at")
#: Their files are told of by whoever exports.
JOBS = Place(_JOB, [_JOB.c.id], _other_jobs, _of_jobs, told=_TOLD_OF_JOBS)
ERASURES = Place(_JOB, [_JOB.c.id], _erasures, _of_erasures, told=_TOLD_OF_JOBS)
_ACTIVITIES = Place(
    _ACTIVITY,
    [_ACTIVITY.c.time, _ACTIVITY.c.event_id],
    lambda person: _ACTIVITY.c.subject == person.id,
    becomes(_ACTIVITY, subject=None),
    is_direct=True,
    told=_all(_ACTIVITY),
)
_IN_TURN = Place(
    _WAITING,
    [_WAITING.c.consumer, _WAITING.c.position],
    lambda person: _WAITING.c.subject == person.id,
    goes(_WAITING),
    told=("consumer", "event_id", "since"),
)
_ANSWERS = Place(_KEPT, [_KEPT.c.key], _answers, goes(_KEPT), told=("key", "status", "headers", "body", "created_at"))
_DEEDS = Place(
    _AUDIT,
    [_AUDIT.c.id],
    _deeds,
    becomes(_AUDIT, target=ERASED, why=ERASED, details={}),
    told=("at", "action", "target", "details"),
)
_OPERATIONS = Place(
    _OPERATION,
    [_OPERATION.c.id],
    _operations,
    becomes(_OPERATION, request={}, message=ERASED),
    told=("id", "kind", "state", "request", "created_at"),
)
_SCHEDULES = Place(
    _SCHEDULE,
    [_SCHEDULE.c.name],
    lambda person: named(person, _SCHEDULE.c.data, then=before(person, _SCHEDULE.c.created_at)),
    goes(_SCHEDULE),
    told=("name", "description", "trigger", "type", "data", "created_at"),
)

#: In the order in which they are erased: jobs may be at work on a person, and what an event left is found by the event.
PLACES: Sequence[Place] = (
    *(_USERS, JOBS, ERASURES),
    *EVENTS,
    *(_ACTIVITIES, _IN_TURN, _ANSWERS, _DEEDS, _OPERATIONS, _SCHEDULES),
)


def files(which: ColumnElement[bool]) -> Any:
    """The files of such jobs that a store has: rows of job, ordinal, name, media type, size, key and when they go."""
    ids = select(_JOB.c.id).where(which)
    return select(_FILE).where(_FILE.c.job_id.in_(ids), _FILE.c.key.is_not(None)).order_by(*_FILE.primary_key)
