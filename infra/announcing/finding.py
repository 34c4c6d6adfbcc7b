"""Finding events: in the outbox as long as the broker has not confirmed them, in the log from then on."""

import json
from collections.abc import Sequence
from typing import Any

from sqlmodel import Session

from events import causes
from events.jobs import JobRequested
from infra.announcing.views import EventItem, EventStory, published, unpublished
from infra.database import audit, event_log, held
from infra.database import outbox as store
from infra.database.held import Place
from infra.errors import Gone, NotKnown
from infra.recovery import deliveries
from infra.recovery.deliveries import Delivery

#: `action` of a cancelling in the audit, which is all that remembers it.
CANCEL = "event.cancel"


def story(session: Session, event_id: str) -> EventStory:
    """One event and what became of it.

    Raises:
        Gone: it was cancelled.
        NotKnown: there is no such event.
    """
    # In this order: an event that is on its way from the one to the other meanwhile is not missed.
    if waiting := store.find(session, event_id):
        return _story(session, _envelope(waiting.body) | unpublished(waiting))
    if logged := event_log.find(session, event_id):
        return _story(session, _logged(logged))
    raise missing(session, event_id)


def missing(session: Session, event_id: str) -> NotKnown:
    """Why an event is neither in the outbox nor in the log."""
    deeds = audit.page(session, audit.Filter(action=CANCEL, target=event_id), before=None, limit=1)
    if not deeds:
        return NotKnown("No event has this id.")
    why = f": {deeds[0].why}" if deeds[0].why else ""
    return Gone(f"This event was cancelled at {deeds[0].at:%Y-%m-%d %H:%M:%S}Z by {deeds[0].who}{why}.")


def log(session: Session, wanted: event_log.Filter, *, before: int | None, limit: int) -> Sequence[EventItem]:
    """Published events, the last one first, from before this position on."""
    rows = event_log.page(session, wanted, before=before, limit=limit)
    return [EventItem(**_logged(row)) for row in rows]


def outbox(
    session: Session, wanted: held.Filter, *, after: Place | None, limit: int
) -> Sequence[tuple[Place, EventItem]]:
    """Events that are not published, the one that is due next first, each with its place."""
    rows = held.page(session, wanted, after=after, limit=limit)
    return [(Place.of(row), EventItem(**_envelope(row.body), **unpublished(row))) for row in rows]


def _story(session: Session, said: dict[str, Any]) -> EventStory:
    about = said.get("subject")  # what was erased has none
    is_request = about is not None and said["type"].startswith(f"{JobRequested.TYPE}.")
    return EventStory(**said, job=f"/jobs/{about}" if is_request else None, deliveries=_deliveries(session, said["id"]))


def _deliveries(session: Session, event_id: str) -> list[Delivery]:
    return deliveries.of(session, [event_id]).get(event_id, [])


def _logged(row: Any) -> dict[str, Any]:
    """An event of the log; of one that was erased all that there is."""
    place = published(row.position, row.published_at)
    if row.erased_at is None:
        return _envelope(row.body) | place
    head = {"id": row.event_id, "type": row.type, "source": "", "time": row.published_at}
    return head | {"correlation_id": row.event_id, "data": {}, "erased_at": row.erased_at} | place


def _envelope(body: str) -> dict[str, Any]:
    # Read as it was written, and not decoded: an event of an older version, or of a type that is gone, is shown too.
    event = json.loads(body)
    same = {name: event.get(name) for name in ("id", "type", "source", "subject", "time", "traceparent", "data")}
    renamed = {"causation_id": event.get("causationid"), "replay_of": event.get("replayof")}
    chain = (event.get(causes.ATTRIBUTE) or "").split()
    return {**same, **renamed, "correlation_id": event["correlationid"], "causation_types": chain}
