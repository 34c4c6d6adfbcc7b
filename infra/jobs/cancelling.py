"""Calling a job off: at once while nobody works on it; of one that runs, its worker sees it within two seconds."""

from sqlmodel import Session

from infra.database import audit, jobs
from infra.errors import NotPossible
from infra.jobs import ending, finding
from infra.jobs.finding import Stored
from infra.jobs.views import is_over

#: `action` in the audit.
CANCEL = "job.cancel"
#: How often one that is locked is worth a further look, and the seconds before it: no sign of life takes that long.
LOOKS, PAUSE = 5, 0.1


def cancel(session: Session, job_id: str, *, source: str, who: str, why: str) -> Stored:
    """Have a job end; gives it as it is now. One that is cancelled, or on its way there, stays as it is.

    Raises:
        NotKnown: there is none with this id.
        NotPossible: it has ended in another way.
        NotNow: somebody has it locked: a sign of life for an instant, and a `step` for as long as it takes.
    """
    changed = jobs.cancel(session, job_id, f"Cancelled by {who}{f': {why}' if why else ''}.")
    found = finding.find(session, job_id)
    if changed:
        audit.write(session, who=who, action=CANCEL, target=job_id, why=why, details={"kind": found.job.kind})
        if is_over(found.job.state):
            job = found.job
            ending.tell(session, job_id=job.id, kind=job.kind, event_id=job.event_id, state="cancelled", source=source)
    elif found.job.state in {"succeeded", "failed"}:
        raise NotPossible(f"This job has {found.job.state}: there is nothing to cancel.")
    return found
