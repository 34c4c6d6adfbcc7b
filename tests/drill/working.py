"""The jobs of a drill: who has one, and what is wrong with them at the end."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import Session

from infra.database.engine import Database
from infra.database.job_tables import Job
from infra.database.tables import table
from tests.drill import journal

KIND = "drill-work"
STEPS = 5
_JOB = table(Job)
_OPEN = ("queued", "running", "retrying")
#: One in so many has a job.
_EVERY = 8


def has_job(user_id: UUID) -> bool:
    """Whether a job is done for this person."""
    return user_id.int % _EVERY == 0


def open_jobs(session: Session) -> int:
    """How many have not ended."""
    query = select(func.count()).select_from(_JOB).where(_JOB.c.kind == KIND, _JOB.c.state.in_(_OPEN))
    return int(session.connection().execute(query).scalar_one())


def wrong(database: Database, users: Iterable[str]) -> list[str]:
    """In words, what is not as it must be, of the jobs for these people."""
    with database.reading() as session:
        query = select(_JOB.c.id, _JOB.c.state).where(_JOB.c.kind == KIND)
        jobs = {row.id: row.state for row in session.connection().execute(query)}
    return judged(jobs, journal.rows(database, KIND), sum(has_job(UUID(user)) for user in users))


def judged(jobs: dict[str, str], rows: Sequence[Any], wanted: int) -> list[str]:
    """The same of states by id and rows of the journal, where so many jobs are to be."""
    steps = Counter((row.subject, row.number) for row in rows)
    whole = {job for job in jobs if all(steps[job, number] for number in range(STEPS))}
    found = {
        "jobs lost or too many": abs(wanted - len(jobs)),
        "jobs that did not end": sum(state in _OPEN for state in jobs.values()),
        "jobs that ended badly": sum(state in {"failed", "cancelled"} for state in jobs.values()),
        "jobs that succeeded without all of their steps": sum(
            state == "succeeded" and job not in whole for job, state in jobs.items()
        ),
        "steps of jobs twice": sum(count > 1 for count in steps.values()),
    }
    return [f"{number} {what}" for what, number in found.items() if number]
