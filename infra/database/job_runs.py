"""Jobs at work: until when they are their worker's, where they can go on, and how their tries ended.

Whoever works on a job holds a lease on it. Every statement here names the holder, so one that has lost its lease writes
nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import JSON, ColumnElement, FromClause, bindparam, case, null, select, update
from sqlmodel import Session

from infra.database.job_begins import LEASE, Run
from infra.database.job_tables import Job
from infra.database.tables import UtcDateTime, table
from infra.errors import LeaseLost

_JOB = table(Job)
_NOW = bindparam("now", type_=UtcDateTime)


def _held(job: FromClause) -> tuple[ColumnElement[bool], ...]:
    return job.c.id == bindparam("job"), job.c.owner == bindparam("me"), job.c.state == "running"


_MINE = _held(_JOB)
_KEEP = (
    update(_JOB).where(*_MINE).values(busy_until=bindparam("until", type_=UtcDateTime)).returning(_JOB.c.cancelled_at)
)
_SEEN = _JOB.alias("seen")
#: One that somebody has locked (its own `step`, say) is passed over: all jobs of the process have this one thread.
_BEAT = _KEEP.where(
    _JOB.c.id == select(_SEEN.c.id).where(*_held(_SEEN)).with_for_update(skip_locked=True).scalar_subquery()
)
_IS_MINE = select(_JOB.c.cancelled_at).where(*_MINE)
_FAR = {"progress": bindparam("done"), "progress_text": bindparam("text"), "updated_at": _NOW}
_BEAT_WITH_PROGRESS = _BEAT.values(_FAR)
_CHECKPOINT = _KEEP.values(
    **_FAR, checkpoint=bindparam("at", type_=JSON), checkpoint_at=_NOW, effects=bindparam("intended")
)
_WORKED = _JOB.c.worked + bindparam("seconds")
_OVER: dict[str, Any] = {"busy_until": None, "worked": _WORKED, "updated_at": _NOW}
_END = (
    update(_JOB)
    .where(*_MINE)
    .values(
        **_OVER,
        state=bindparam("ending"),
        progress=bindparam("done"),
        progress_text=bindparam("text"),
        error=None,
        finished_at=_NOW,
    )
)
#: Why it was cancelled stays.
_END_CANCELLED = _END.values(error=_JOB.c.error)
_HAND_BACK = (
    update(_JOB)
    .where(*_MINE)
    .values(**_OVER, state="queued", progress=bindparam("done"), progress_text=bindparam("text"))
)
#: Whoever asked for its end was told that it comes, so it is no failure; and why it was asked for stays.
_STOPPED = _JOB.c.cancelled_at.is_not(None)
_FAILS = (
    update(_JOB)
    .where(*_MINE)
    .values(**_OVER, error=case((_STOPPED, _JOB.c.error), else_=bindparam("why")))
    .returning(_JOB.c.state)
)
_IS_DEAD = _FAILS.values(state=case((_STOPPED, "cancelled"), else_="failed"), finished_at=_NOW)
_COMES_AGAIN = _FAILS.values(
    state=case((_STOPPED, "cancelled"), else_="retrying"),
    finished_at=case((_STOPPED, _NOW)),
    retry_at=case((_STOPPED, null()), else_=bindparam("due", type_=UtcDateTime)),
)
Ending = Literal["succeeded", "cancelled"]
Failure = Literal["retrying", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Far:
    """How far a job is."""

    done: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a stint that is the end of its job."""

    run: Run
    ending: Ending
    far: Far
    #: How long the stint was.
    seconds: float


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life of one job's worker."""

    job_id: str
    owner: str
    #: None: as it was.
    far: Far | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A job that is still its worker's."""

    is_cancelled: bool
    #: False: it was locked, so the next sign of life says it again.
    is_written: bool


def beat(session: Session, beats: Sequence[Beat], lease: timedelta = LEASE) -> dict[str, Kept]:
    """Keep these for a while longer; gives those that are still their worker's."""
    kept, connection = {}, session.connection()
    for one in beats:
        statement, far = (_BEAT, {}) if one.far is None else (_BEAT_WITH_PROGRESS, _far(one.far))
        values = {**_mine(one.job_id, one.owner, lease), **far}
        written = connection.execute(statement, values).one_or_none()
        row = written or connection.execute(_IS_MINE, values).one_or_none()
        if row is not None:
            kept[one.job_id] = Kept(row.cancelled_at is not None, written is not None)
    return kept


def checkpoint(session: Session, run: Run, *, state: Any, effects: int, far: Far) -> bool:
    """Write where the work can go on; whether the job is to be cancelled.

    Raises:
        LeaseLost: it is another worker's now, or nobody's.
    """
    values = {**_mine(run.job_id, run.owner, run.lease), **_far(far), "at": {"state": state}, "intended": effects}
    row = session.connection().execute(_CHECKPOINT, values).one_or_none()
    if row is None:
        raise LeaseLost("The job is another worker's now.")
    return row.cancelled_at is not None


def end(session: Session, these: Sequence[Ended]) -> None:
    """Write, in the transaction of all that belongs to their ends, that these are over.

    Raises:
        LeaseLost: one of them is another worker's now, or nobody's.
    """
    for statement, is_cancelled in ((_END, False), (_END_CANCELLED, True)):
        rows = [_ended(one) for one in these if (one.ending == "cancelled") == is_cancelled]
        if rows and session.connection().execute(statement, rows[0] if len(rows) == 1 else rows).rowcount != len(rows):
            raise LeaseLost("The job is another worker's now.")


def hand_back(session: Session, run: Run, *, far: Far, seconds: float) -> None:
    """Give it up after so many seconds of work, to go on in the same try; nothing if it was lost."""
    session.connection().execute(_HAND_BACK, {**_key(run.job_id, run.owner), **_far(far), "seconds": seconds})


def fail(session: Session, run: Run, *, error: str, retry_at: datetime | None, seconds: float) -> Failure | None:
    """Write that its try failed, why, and when the next one is due (None: it is given up); its state then.

    None when it was lost.
    """
    values = {**_key(run.job_id, run.owner), "why": error, "seconds": seconds}
    connection = session.connection()
    if retry_at is None:
        return connection.execute(_IS_DEAD, values).scalar_one_or_none()
    return connection.execute(_COMES_AGAIN, {**values, "due": retry_at}).scalar_one_or_none()


def _ended(one: Ended) -> dict[str, Any]:
    key, far = _key(one.run.job_id, one.run.owner), _far(one.far)
    return {**key, **far, "ending": one.ending, "seconds": one.seconds}


def _key(job_id: str, owner: str) -> dict[str, Any]:
    return {"job": job_id, "me": owner, "now": datetime.now(UTC)}


def _mine(job_id: str, owner: str, lease: timedelta) -> dict[str, Any]:
    key = _key(job_id, owner)
    return {**key, "until": key["now"] + lease}


def _far(far: Far) -> dict[str, Any]:
    return {"done": far.done, "text": far.text}
