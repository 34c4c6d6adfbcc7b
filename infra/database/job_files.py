"""The files of jobs' results: rows that say where the store has each, and until when."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, exists, func, insert, or_, select, update
from sqlalchemy import tuple_ as row
from sqlmodel import Session

from infra.database.job_tables import Job, JobFile
from infra.database.session import add_rows
from infra.database.tables import UtcDateTime, table

#: The ordinal of the file that is what a job's function returned.
MAIN = 0
#: States of jobs that are over.
CLOSED = ("succeeded", "failed", "cancelled")
#: Before all that ever was.
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

_FILE, _JOB = table(JobFile), table(Job)
_INSERT = insert(_FILE)
_OF = (
    select(_FILE).where(_FILE.c.job_id.in_(bindparam("jobs", expanding=True))).order_by(_FILE.c.job_id, _FILE.c.ordinal)
)
_RESULT = (
    select(_JOB.c.state, _FILE)
    .join_from(_JOB, _FILE, _FILE.c.job_id == _JOB.c.id, isouter=True)
    .where(_JOB.c.id == bindparam("job"))
    .order_by(_FILE.c.ordinal)
)
_REPLACED = delete(_FILE).where(
    _FILE.c.job_id == bindparam("job"),
    or_(_FILE.c.name.in_(bindparam("names", expanding=True)), _FILE.c.ordinal == bindparam("main")),
)
_LAST = select(func.max(_FILE.c.ordinal)).where(_FILE.c.job_id == bindparam("job"))
_KEEP = update(_FILE).where(_FILE.c.job_id == bindparam("job")).values(expires_at=bindparam("until", type_=UtcDateTime))
_JOBS: BindParameter[str] = bindparam("jobs", expanding=True)
_STORED = select(_FILE.c.key).where(_FILE.c.job_id.in_(_JOBS), _FILE.c.key.is_not(None))
_AT_WORK = select(_JOB.c.id).where(_JOB.c.id.in_(_JOBS), _JOB.c.state == "running")
_REMOVED = (
    update(_FILE).where(_FILE.c.job_id.in_(_JOBS), _FILE.c.key.in_(bindparam("keys", expanding=True))).values(key=None)
)
_PLACE = row(_FILE.c.expires_at, _FILE.c.job_id, _FILE.c.ordinal)
_EXPIRED = (
    select(_FILE.c.expires_at, _FILE.c.job_id, _FILE.c.ordinal, _FILE.c.key)
    .where(
        _FILE.c.key.is_not(None),
        _FILE.c.expires_at < bindparam("now", type_=UtcDateTime),
        row(bindparam("after", type_=UtcDateTime), bindparam("after_1"), bindparam("after_2")) < _PLACE,
        ~exists().where(_JOB.c.id == _FILE.c.job_id, _JOB.c.state.not_in(CLOSED)),
    )
    .order_by(*_PLACE.clauses)
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class Result:
    """What there is of a job's result."""

    #: The job's.
    state: str
    #: In their order, the main one first.
    files: list[JobFile]


@dataclass(frozen=True, slots=True)
class Expired:
    """A file whose time is over."""

    expires_at: datetime
    job_id: str
    ordinal: int
    key: str


def add(session: Session, job_id: str, files: Sequence[JobFile], *, are_first: bool = False) -> None:
    """Count files of a job, behind those that it has; one of the same name takes the other's place.

    Whoever knows that it has none saves a look.

    All of a job's files are kept as long as the newest of them.
    """
    if not files:
        return
    last = None if are_first else session.connection().execute(_LAST, {"job": job_id}).scalar()
    if last is not None:  # which is rare
        connection = session.connection()
        main = MAIN if any(file.ordinal == MAIN for file in files) else -1
        connection.execute(_REPLACED, {"job": job_id, "names": [file.name for file in files], "main": main})
        last = connection.execute(_LAST, {"job": job_id}).scalar()
        connection.execute(_KEEP, {"job": job_id, "until": files[-1].expires_at})
    shift = last or MAIN
    rows = [{**file.model_dump(), "ordinal": file.ordinal and file.ordinal + shift} for file in files]
    add_rows(session, _INSERT, rows)


def result(session: Session, job_id: str) -> Result | None:
    """The state of a job and its files, in one statement; None when there is no such job."""
    rows = session.connection().execute(_RESULT, {"job": job_id}).all()
    if not rows:
        return None
    names = [column.name for column in _FILE.c]
    files = [JobFile(**{name: row._mapping[name] for name in names}) for row in rows if row.job_id is not None]  # noqa: SLF001  # as below
    return Result(rows[0].state, files)


def of(session: Session, job_id: str) -> list[JobFile]:
    """The files of a job in their order, the main one first."""
    return of_each(session, [job_id])[job_id]


def of_each(session: Session, job_ids: Collection[str]) -> Mapping[str, list[JobFile]]:
    """The same, of several jobs; each one has its list, though it may be empty."""
    found: defaultdict[str, list[JobFile]] = defaultdict(list, {job_id: [] for job_id in job_ids})
    for file in _files(session.connection().execute(_OF, {"jobs": list(job_ids)})):
        found[file.job_id].append(file)
    return found


def stored(session: Session, job_ids: Collection[str]) -> set[str]:
    """The keys of all files that rows of these jobs count."""
    return set(session.connection().execute(_STORED, {"jobs": list(job_ids)}).scalars())


def at_work(session: Session, job_ids: Collection[str]) -> set[str]:
    """Those of these jobs that run, so that they may have files that no row counts yet."""
    return set(session.connection().execute(_AT_WORK, {"jobs": list(job_ids)}).scalars())


def expired(session: Session, now: datetime, after: Expired | None, most: int) -> list[Expired]:
    """The next files whose time is over, of jobs that are; the one that expired first comes first."""
    place = (after.expires_at, after.job_id, after.ordinal) if after else (_BEGINNING, "", 0)
    values = {"now": now, "most": most, "after": place[0], "after_1": place[1], "after_2": place[2]}
    return [Expired(*found) for found in session.connection().execute(_EXPIRED, values)]


def removed(session: Session, files: Mapping[str, str]) -> int:
    """The store has these files no more: the job of each, by key. Gives how many it had until now."""
    values = {"jobs": [*files.values()], "keys": [*files]}
    return session.connection().execute(_REMOVED, values).rowcount if files else 0


def _files(result: Iterable[Any]) -> list[JobFile]:
    return [JobFile(**row._mapping) for row in result]  # noqa: SLF001  # public, see SQLAlchemy's Row
