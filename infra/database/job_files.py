"""The files of jobs' results: rows that say where the store has each, and until when."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, or_, select, update
from sqlmodel import Session

from infra.database.job_tables import Job, JobFile
from infra.database.tables import UtcDateTime, table

#: The ordinal of the file that is what a job's function returned.
MAIN = 0

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
_KNOWN = select(_FILE.c.key).where(_FILE.c.key.in_(bindparam("keys", expanding=True)))
_REMOVED = update(_FILE).where(_FILE.c.key.in_(bindparam("keys", expanding=True))).values(key=None)


@dataclass(frozen=True, slots=True)
class Result:
    """What there is of a job's result."""

    #: The job's.
    state: str
    #: In their order, the main one first.
    files: list[JobFile]


def add(session: Session, job_id: str, files: Sequence[JobFile]) -> None:
    """Count files of a job, behind those that it has; one of the same name takes the other's place.

    All of a job's files are kept as long as the newest of them.
    """
    if not files:
        return
    connection = session.connection()
    main = MAIN if any(file.ordinal == MAIN for file in files) else -1
    connection.execute(_REPLACED, {"job": job_id, "names": [file.name for file in files], "main": main})
    last = connection.execute(_LAST, {"job": job_id}).scalar()
    if last is not None:
        connection.execute(_KEEP, {"job": job_id, "until": files[-1].expires_at})
    shift = last or MAIN
    rows = [{**file.model_dump(), "ordinal": file.ordinal and file.ordinal + shift} for file in files]
    connection.execute(_INSERT, rows)


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


def known(session: Session, keys: Collection[str]) -> set[str]:
    """Those of these keys that a row counts."""
    return set(session.connection().execute(_KNOWN, {"keys": list(keys)}).scalars())


def removed(session: Session, keys: Collection[str]) -> None:
    """The store has these files no more."""
    session.connection().execute(_REMOVED, {"keys": list(keys)})


def _files(result: Iterable[Any]) -> list[JobFile]:
    return [JobFile(**row._mapping) for row in result]  # noqa: SLF001  # public, see SQLAlchemy's Row
