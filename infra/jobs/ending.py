"""Announcing the end of a job that no worker ends."""

from typing import Literal
from uuid import UUID

from sqlmodel import Session

from events.envelope import Envelope, announce, decode
from events.errors import UndecodableEvent
from events.jobs import JobEnded
from infra.database import event_log, outbox
from infra.jobs import checking

Ended = Literal["succeeded", "failed", "cancelled"]


def tell(session: Session, *, job_id: str, kind: str, event_id: str, state: Ended, source: str) -> None:  # noqa: PLR0913  # each is named
    """Announce it, where its kind announces; `event_id` is that of its request."""
    known = checking.described(session, kind)
    if known is not None and known.announces:
        ended = JobEnded(job_id=UUID(job_id), kind=kind, state=state)
        outbox.add(session, announce(ended, source=source, cause=_request(session, event_id)))


def _request(session: Session, event_id: str) -> Envelope | None:
    row = outbox.find(session, event_id) or event_log.find(session, event_id)
    try:
        return None if row is None else decode(row.body.encode())
    except UndecodableEvent:  # of a newer program, say
        return None
