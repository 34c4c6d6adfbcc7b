"""Whether somebody works on the job that an event asks for: then the event is nowhere on the broker but in hand."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, exists, select
from sqlmodel import Session

from infra.database.job_tables import Job
from infra.database.tables import UtcDateTime, table

_JOB = table(Job)
#: The present moment, for statements with `held`.
NOW: Any = bindparam("at_present", type_=UtcDateTime)


_ANY = select(_JOB.c.id).where(_JOB.c.kind == bindparam("of_kind"), _JOB.c.state == "running", _JOB.c.busy_until > NOW)


def held(event_id: ColumnElement[Any], consumer: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a process has the lease of the job; false of what is no request for a job of this consumer's kind."""
    this = (_JOB.c.event_id == event_id, _JOB.c.kind == consumer)
    return exists().where(*this, _JOB.c.state == "running", _JOB.c.busy_until > NOW)


def at_present() -> dict[str, datetime]:
    """What `held` wants to know."""
    return {"at_present": datetime.now(UTC)}


def any_held(session: Session, kind: str) -> bool:
    """Whether somebody works on any job of this kind."""
    return session.connection().execute(_ANY.limit(1), {"of_kind": kind, **at_present()}).first() is not None
