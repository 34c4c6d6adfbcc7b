"""Calling a job off: at once while nobody works on it; of one that runs, its worker sees it within two seconds."""

from sqlmodel import Session

from events.envelope import Envelope, announce, decode
from events.errors import UndecodableEvent
from events.jobs import JobEnded
from infra.database import audit, event_log, jobs, outbox
from infra.errors import NotPossible
from infra.jobs import checking, finding
from infra.jobs.finding import Stored
from infra.jobs.views import is_over

#: `action` in the audit.
CANCEL = "job.cancel"


def cancel(session: Session, job_id: str, *, source: str, who: str, why: str) -> Stored:
    """Have a job end; gives it as it is now. One that is cancelled, or on its way there, stays as it is.

    Raises:
        NotKnown: there is none with this id.
        NotPossible: it has ended in another way.
    """
    changed = jobs.cancel(session, job_id, f"Cancelled by {who}{f': {why}' if why else ''}.")
    found = finding.find(session, job_id)
    if changed:
        audit.write(session, who=who, action=CANCEL, target=job_id, why=why, details={"kind": found.job.kind})
        if is_over(found.job.state):
            _tell(session, found, source)
    elif found.job.cancelled_at is None or found.job.state in {"succeeded", "failed"}:
        raise NotPossible(f"This job has {found.job.state}: there is nothing to cancel.")
    return found


def _tell(session: Session, found: Stored, source: str) -> None:
    """Announce the end of one that no worker will end, where its kind announces."""
    kind = checking.described(session, found.job.kind)
    if kind is not None and kind.announces:
        ended = JobEnded(job_id=found.job.id, kind=found.job.kind, state="cancelled")
        outbox.add(session, announce(ended, source=source, cause=_request(session, found.job.event_id)))


def _request(session: Session, event_id: str) -> Envelope | None:
    row = outbox.find(session, event_id) or event_log.find(session, event_id)
    try:
        return None if row is None else decode(row.body.encode())
    except UndecodableEvent:  # of a newer program, say
        return None
