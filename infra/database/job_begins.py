"""Jobs that a worker begins: taken over with a lease on them, unless somebody works on them or they have ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, exists, func, null, select, text, update
from sqlmodel import Session

from infra.database.job_tables import OPEN, Job, JobFile
from infra.database.tables import Inbox, UtcDateTime, table
from infra.database.writer import refused
from infra.errors import NoSuchJob
from infra.owners import is_gone

_JOB, _INBOX = table(Job), table(Inbox)
#: Ids of a job and of its event.
Key = tuple[str, str]
#: How long a worker that says nothing keeps its job. Clocks of machines may differ by nearly as much.
LEASE = timedelta(seconds=60)
_NOW = bindparam("now", type_=UtcDateTime)
_FILE = table(JobFile)
_THIS = (_JOB.c.id == bindparam("job"), _JOB.c.event_id == bindparam("event"))
_TAKEN: dict[str, Any] = {
    "state": "running",
    "owner": bindparam("me"),
    "busy_until": bindparam("until", type_=UtcDateTime),
    "attempts": bindparam("attempt"),
    "started_at": func.coalesce(_JOB.c.started_at, _NOW),
    "updated_at": _NOW,
    "finished_at": None,
    "retry_at": None,
}
_TOLD = (
    _JOB.c.id, _JOB.c.event_id, _JOB.c.created_at, _JOB.c.checkpoint, _JOB.c.effects, _JOB.c.worked, _JOB.c.progress,
    _JOB.c.progress_text, _JOB.c.cancelled_at,
    exists().where(_FILE.c.job_id == _JOB.c.id).label("has_files"),
)  # fmt: skip
#: What nearly all of them are: new, or handed back, which is the same try. Neither a job nor its event is another's.
_TAKE_WAITING = (
    update(_JOB)
    .where(
        _JOB.c.id.in_(bindparam("jobs", expanding=True)),
        _JOB.c.event_id.in_(bindparam("events", expanding=True)),
        _JOB.c.state == "queued",
        _JOB.c.cancelled_at.is_(None),
    )
    .values(_TAKEN)
    .returning(*_TOLD)
)
#: One that is locked is passed over: its worker may be in a `step`, and this transaction has others' work in it.
_LOOK = select(_JOB).where(*_THIS).with_for_update(skip_locked=True)
_HOLDER = select(_JOB.c.owner, _JOB.c.busy_until).where(*_THIS)
_TAKE = update(_JOB).where(*_THIS).values(_TAKEN).returning(*_TOLD)
_TAKE_ANEW = _TAKE.values(worked=0.0)
_TAKE_FROM_THE_START = _TAKE.values(
    worked=0.0, effects=0, progress=0.0, progress_text="", error=None, cancelled_at=None, checkpoint=null(),
    checkpoint_at=None, started_at=_NOW,
)  # fmt: skip
_IS_TO_RUN_AGAIN = select(_INBOX.c.state).where(
    _INBOX.c.event_id == bindparam("event"), _INBOX.c.consumer == bindparam("who"), _INBOX.c.handled_at.is_(None)
)
_SAME = select(_JOB.c.id).where(_JOB.c.kind == bindparam("which"), _JOB.c.unique_key == bindparam("same"), text(OPEN))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The message that asks for a job, as it came to this worker."""

    job_id: str
    event_id: str
    kind: str
    attempt: int
    #: Its sender wants it done again, whatever became of it.
    is_replay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A stint that has begun: the job is this worker's."""

    job_id: str
    owner: str
    lease: timedelta
    requested_at: datetime
    #: What the last checkpoint said; None when there was none.
    checkpoint: dict[str, Any] | None
    #: Effects that checkpoints have committed.
    effects: int
    #: Files of its result are counted already.
    has_files: bool
    #: Seconds of work that this try has had before.
    worked: float
    progress: float
    progress_text: str
    #: It is to be cancelled, so nothing is to be done but that.
    is_cancelled: bool


@dataclass(frozen=True, slots=True)
class Over:
    """There is nothing to do: it has ended before."""

    #: Effects that its checkpoints have committed.
    effects: int


@dataclass(frozen=True, slots=True)
class Held:
    """Another worker has it, for so many seconds yet at least."""

    seconds: float


def begin(
    session: Session, these: Sequence[Request], *, owner: str, lease: timedelta = LEASE
) -> list[Run | Over | Held]:
    """Take these jobs over, unless somebody works on them or they have ended; refused is what is no job (NoSuchJob)."""
    now = datetime.now(UTC)
    taking = {"me": owner, "now": now, "until": now + lease}
    waiting = _take_waiting(session, these, taking)
    found: list[Run | Over | Held] = []
    for request in these:
        if (row := waiting.pop((request.job_id, request.event_id), None)) is not None:
            found.append(_run(row, owner, lease))
            continue
        try:
            found.append(_begin(session, request, taking, lease))
        except NoSuchJob as error:
            found.append(refused(error))
    return found


def _take_waiting(session: Session, these: Sequence[Request], taking: dict[str, Any]) -> dict[Key, Row[Any]]:
    taken: dict[Key, Row[Any]] = {}
    for attempt in {request.attempt for request in these}:
        some = [request for request in these if request.attempt == attempt]
        values = {"jobs": sorted(each.job_id for each in some), "events": [each.event_id for each in some]}
        rows = session.connection().execute(_TAKE_WAITING, {**taking, **values, "attempt": attempt})
        taken |= {(row.id, row.event_id): row for row in rows}
    return taken


def _begin(session: Session, request: Request, taking: dict[str, Any], lease: timedelta) -> Run | Over | Held:
    """Take over one that is not simply waiting.

    Raises:
        NoSuchJob: there is no such job.
    """
    values = {"job": request.job_id, "event": request.event_id}
    found = session.connection().execute(_LOOK, values).one_or_none()
    if found is None:
        return _locked(session, request, values, taking["now"])
    way = _way(session, request, found, taking["me"], taking["now"])
    if isinstance(way, Over | Held):
        return way
    row = session.connection().execute(way, {**taking, **values, "attempt": request.attempt}).one()
    return _run(row, taking["me"], lease)


def _run(row: Row[Any], owner: str, lease: timedelta) -> Run:
    return Run(
        job_id=row.id,
        owner=owner,
        lease=lease,
        requested_at=row.created_at,
        checkpoint=row.checkpoint,
        effects=row.effects,
        has_files=row.has_files,
        worked=row.worked,
        progress=row.progress,
        progress_text=row.progress_text,
        is_cancelled=row.cancelled_at is not None,
    )


def _locked(session: Session, request: Request, values: dict[str, Any], now: datetime) -> Held:
    """Somebody is about to change it: a worker who is gone for an instant yet, one who lives for as long as it likes.

    Raises:
        NoSuchJob: there is no such job.
    """
    job = session.connection().execute(_HOLDER, values).one_or_none()
    if job is None:
        raise NoSuchJob(f"There is no job {request.job_id}: it was removed, or never was.")
    is_free = job.busy_until is None or is_gone(job.owner)
    return Held(0.0 if is_free else (job.busy_until - now).total_seconds())


def _way(session: Session, request: Request, job: Row[Any], owner: str, now: datetime) -> Any:
    """How a job that is not simply waiting is taken, or why it is not."""
    if job.state in {"succeeded", "cancelled", "failed"}:
        # What was cancelled stays so: nobody could tell who forces it from who has its lost message sent again.
        if job.state == "cancelled" or (job.state == "succeeded" and not _is_to_run_again(session, request)):
            return Over(job.effects)
        again = _TAKE_ANEW if job.state == "failed" else _TAKE_FROM_THE_START
        return again if _is_alone(session, job) else Held(LEASE.total_seconds())
    if job.state == "running" and _holds(job, owner, now):
        return Held((job.busy_until - now).total_seconds())
    return _TAKE if job.attempts == request.attempt else _TAKE_ANEW


def _holds(job: Row[Any], owner: str, now: datetime) -> bool:
    """Whether somebody else is at work on it; one who began twice has come back to what the database refused."""
    return job.owner != owner and job.busy_until is not None and job.busy_until > now and not is_gone(job.owner)


def _is_to_run_again(session: Session, request: Request) -> bool:
    """An operator forced its replay: the inbox was made to forget that it was handled."""
    query = {"event": request.event_id, "who": request.kind}
    return request.is_replay and session.connection().execute(_IS_TO_RUN_AGAIN, query).first() is not None


def _is_alone(session: Session, job: Row[Any]) -> bool:
    """Whether no other job of a unique kind, with the same parameters, was asked for meanwhile."""
    query = {"which": job.kind, "same": job.unique_key}
    return job.unique_key is None or session.connection().execute(_SAME, query).first() is None
