"""Moving and cancelling an event that waits for its time: for certain, or not at all (ADR 21)."""

import json
from datetime import UTC, datetime

from sqlmodel import Session

from events.attributes import write_time
from infra.announcing.finding import CANCEL, missing
from infra.announcing.views import Announced, announced
from infra.database import audit, event_log, held, outbox
from infra.errors import NotPossible, TidingsError


def cancel(session: Session, event_id: str, *, who: str, why: str) -> None:
    """Take an event back before it is published: once this is committed, it never will be.

    Raises:
        Gone: it was cancelled before.
        NotKnown: there is no such event.
        NotPossible: it is published, or may be at any moment.
    """
    taken = held.cancel(session, event_id)
    if taken is None:
        raise _why_not(session, event_id)
    details = {"type": taken.type, "subject": taken.subject, "available_at": taken.available_at.isoformat()}
    audit.write(session, who=who, action=CANCEL, target=event_id, why=why, details=details)


def move(session: Session, event_id: str, at: datetime | None, *, who: str, why: str) -> Announced:
    """Have an event that waits published at another time; None for at once.

    Raises:
        Gone: it was cancelled.
        NotKnown: there is no such event.
        NotPossible: it is published, or may be at any moment.
    """
    row = outbox.find(session, event_id)
    if row is None or not held.move(session, event_id, at, _happening(row.body, at or datetime.now(UTC))):
        raise _why_not(session, event_id)
    details = {"type": row.type, "from": row.available_at.isoformat(), "to": at and at.isoformat()}
    audit.write(session, who=who, action="event.move", target=event_id, why=why, details=details)
    return announced(event_id, row.type, at)


def _happening(body: str, at: datetime) -> str:
    """The event with another time: what is announced for later happens then."""
    event = json.loads(body)
    return json.dumps({**event, "time": write_time(at)}, separators=(",", ":"), ensure_ascii=False)


def _why_not(session: Session, event_id: str) -> TidingsError:
    if row := outbox.find(session, event_id):
        waited = row.available_at > outbox.AT_ONCE
        return NotPossible(
            "The time of this event has come: it is on its way to the broker."
            if waited
            else "This event does not wait for a time: it goes to the broker at once."
        )
    if logged := event_log.find(session, event_id):
        return NotPossible(f"This event was published at {logged.published_at:%Y-%m-%d %H:%M:%S}Z.")
    return missing(session, event_id)
