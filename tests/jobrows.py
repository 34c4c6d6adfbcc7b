"""Rows of jobs, as tests want them, without anybody who asked for them or works on them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update

from infra.database.engine import Database
from infra.database.job_tables import Job
from infra.database.tables import table

_JOB = table(Job)


def write(database: Database, job_id: str, kind: str, event_id: str, state: str = "queued", **more: Any) -> None:
    """A job in this state."""
    now = datetime.now(UTC)
    row = {"id": job_id, "kind": kind, "event_id": event_id, "state": state, "parameters": {}, "requested_by": "a test"}
    counts = {"progress": 0.0, "progress_text": "", "attempts": 0, "effects": 0, "worked": 0.0}
    with database.transaction() as session:
        session.connection().execute(insert(_JOB).values(row | counts | {"created_at": now, "updated_at": now} | more))


def hold(database: Database, job_id: str, kind: str, event_id: str, seconds: float, **more: Any) -> None:
    """A job that a process of another machine works on, whose lease lasts for so many seconds yet, or is over."""
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    write(database, job_id, kind, event_id, "running", owner="elsewhere#1-0 1 there", busy_until=until, **more)


def end(database: Database, job_id: str) -> None:
    """Whoever works on it is through."""
    with database.transaction() as session:
        session.connection().execute(update(_JOB).where(_JOB.c.id == job_id).values(state="succeeded", busy_until=None))


def ends(database: Database) -> dict[str, tuple[str, str | None]]:
    """State and error of each job."""
    with database.reading() as session:
        rows = session.connection().execute(select(_JOB.c.id, _JOB.c.state, _JOB.c.error))
        return {row.id: (row.state, row.error) for row in rows}
