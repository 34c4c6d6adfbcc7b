"""Accepting an event that an operator wrote: it becomes a row of the outbox, as any other."""

from dataclasses import replace
from datetime import datetime

from sqlmodel import Session

from events.envelope import Envelope, Event, announce
from events.errors import TooLarge
from infra.announcing.views import Announced, announced
from infra.database import audit, outbox
from infra.fitting import DoesNotFit, too_large


def accept(  # noqa: PLR0913  # each is named
    session: Session,
    event: Event,
    *,
    source: str,
    who: str,
    why: str,
    subject: str | None = None,
    at: datetime | None = None,
    traceparent: str | None = None,
) -> Announced:
    """Announce the event, now or then; until then it is listed as waiting, and can be moved or cancelled.

    Raises:
        DoesNotFit: it is too large, or its subject is another one than the event's own.
    """
    envelope = _about(subject, announce(event, source=source, time=at, traceparent=traceparent))
    try:
        outbox.add(session, envelope, available_at=at)
    except TooLarge as error:
        raise too_large(error) from None
    details = {"type": envelope.type, "subject": envelope.subject, "available_at": at and at.isoformat()}
    audit.write(session, who=who, action="event.publish", target=envelope.id, why=why, details=details)
    return announced(envelope.id, envelope.type, at)


def _about(subject: str | None, envelope: Envelope) -> Envelope:
    """A type that does not say whom its events are about leaves it to whoever announces one."""
    own = envelope.data.SUBJECT
    if own is None:
        return replace(envelope, subject=subject)
    if subject not in (None, envelope.subject):
        message = f"Events of this type have theirs from data.{own}: leave this out."
        raise DoesNotFit([(("subject",), "not_its_own", message)])
    return envelope
