"""Finding events: in the outbox as long as the broker has not confirmed them, in the log from then on."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from gateway.events.schemas import EventFilter, EventItem, EventStory
from gateway.pages import Cursor, Page, by_position
from gateway.problems import NotFound
from infra.database import event_log, outbox
from infra.database.tables import EventLog, Outbox, table
from infra.recovery import deliveries
from infra.recovery.deliveries import Delivery

_LOG = table(EventLog)
_cursor = Cursor("events", by_position)


def story(session: Session, event_id: str) -> EventStory:
    """One event and what became of it.

    Raises:
        NotFound: there is no such event.
    """
    # In this order: an event that is on its way from the one to the other meanwhile is not missed.
    waiting = outbox.find(session, event_id)
    if waiting is not None:
        return EventStory(**_envelope(waiting.body), **_unpublished(waiting), deliveries=_deliveries(session, event_id))
    logged = event_log.find(session, event_id)
    if logged is None:
        raise NotFound("No event has this id.")
    place = {"state": "published", "position": logged.position, "published_at": logged.published_at}
    return EventStory(**_envelope(logged.body), **place, deliveries=_deliveries(session, event_id))


def newest(session: Session, wanted: EventFilter) -> Page[EventItem]:
    """A page of the event log, the last published first."""
    query = select(_LOG.c.position, _LOG.c.published_at, _LOG.c.body).order_by(_LOG.c.position.desc())
    if wanted.type is not None:
        query = query.where(_LOG.c.type == wanted.type)
    if wanted.subject is not None:
        query = query.where(_LOG.c.subject == wanted.subject)
    if wanted.since is not None:
        query = query.where(_LOG.c.published_at >= wanted.since)
    if (before := _cursor.key(wanted.cursor)) is not None:
        query = query.where(_LOG.c.position < before)
    rows = session.connection().execute(query.limit(wanted.limit + 1))
    items = [EventItem(position=position, published_at=at, **_envelope(body)) for position, at, body in rows]
    return _cursor.page(items, wanted.limit, lambda item: item.position)


def _deliveries(session: Session, event_id: str) -> list[Delivery]:
    return deliveries.of(session, [event_id]).get(event_id, [])


def _envelope(body: str) -> dict[str, Any]:
    # Read as it was written, and not decoded: an event of an older version, or of a type that is gone, is shown too.
    event = json.loads(body)
    same = {name: event.get(name) for name in ("id", "type", "source", "subject", "time", "traceparent", "data")}
    renamed = {"causation_id": event.get("causationid"), "replay_of": event.get("replayof")}
    return {**same, **renamed, "correlation_id": event["correlationid"]}


def _unpublished(row: Outbox) -> dict[str, Any]:
    later = row.available_at > outbox.AT_ONCE
    return {
        "state": "set-aside" if row.set_aside else "waiting" if row.available_at > datetime.now(UTC) else "accepted",
        "accepted_at": row.added_at,
        "available_at": row.available_at if later else None,
        "attempts": row.attempts,
        "error": row.error,
    }
