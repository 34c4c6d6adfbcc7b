"""A message as it goes to the broker, whichever client library takes it there."""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from events.envelope import decode
from events.errors import UndecodableEvent
from infra.errors import MessageRefused
from infra.rabbitmq.topology import EVENTS

CONTENT_TYPE = "application/cloudevents+json"
#: Header of ours: number of the try, 1 for the first. The broker's own headers (`x-death` …) are never relied on.
ATTEMPT = "x-attempt"
#: Header with the W3C trace context.
TRACEPARENT = "traceparent"
#: Bytes of a short string of AMQP 0-9-1.
_SHORT = 255
#: Header of ours on what an operator sent again.
REPLAY = "x-replay"
#: Header of ours on a replay: the dead letter that it is of.
DEAD_LETTER = "x-tidings-dead-letter"
#: Header of ours on an event of the past that a backfill sends: when it was sent, an ISO time.
BACKFILL = "x-backfill"


@dataclass(frozen=True, slots=True)
class Message:
    """Where a message goes, its bytes, and what an operator sees of it; the text form never shows the body."""

    exchange: str
    routing_key: str
    body: bytes = field(repr=False)
    #: The event's id.
    message_id: str
    #: The event's type.
    type: str
    headers: dict[str, Any]
    correlation_id: str | None
    #: When the event happened; AMQP keeps whole seconds.
    timestamp: datetime | None
    #: The event's source.
    app_id: str


def event_message(event_id: str, event_type: str, body: bytes) -> Message:
    """The first publish of an event, as encoded, to the exchange `events`.

    Raises:
        MessageRefused: the bytes are not an encoded event.
    """
    try:
        event = json.loads(body)
        return Message(
            exchange=EVENTS,
            routing_key=event_type,
            body=body,
            message_id=event_id,
            type=event_type,
            headers={ATTEMPT: 1} | ({TRACEPARENT: event[TRACEPARENT]} if TRACEPARENT in event else {}),
            correlation_id=event["correlationid"],
            timestamp=datetime.fromisoformat(event["time"]),
            app_id=event["source"],
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MessageRefused(f"The event {event_id} cannot be read ({type(error).__name__}).") from None


def past_message(consumer: str, event_id: str, event_type: str, body: bytes, *, sent_at: datetime) -> Message:
    """An event of the past, as encoded, for one consumer's queue alone.

    Raises:
        MessageRefused: the bytes are not an encoded event.
    """
    message = event_message(event_id, event_type, body)
    headers = {**message.headers, BACKFILL: sent_at.isoformat()}
    return replace(message, exchange="", routing_key=consumer, headers=headers)


def resent_message(  # noqa: PLR0913  # what is known of the message, by name
    consumer: str,
    body: bytes,
    *,
    name: str,
    event_type: str | None,
    dead_letter: str | None,
    backfilled_at: datetime | None = None,
) -> Message:
    """The same bytes once more, for one consumer's queue alone, as their first try; `dead_letter` makes it a replay.

    They need not be an event: then their consumer says so again, or not any more.
    """
    try:
        event = decode(body)
    except UndecodableEvent:
        event = None
    trace = {TRACEPARENT: event.traceparent} if event and event.traceparent else {}
    replay = {} if dead_letter is None else {REPLAY: True, DEAD_LETTER: dead_letter}
    past = {} if backfilled_at is None else {BACKFILL: backfilled_at.isoformat()}
    return Message(
        exchange="",
        routing_key=consumer,
        body=body,
        message_id=name,
        type=_short(event_type),
        headers={ATTEMPT: 1, **trace, **replay, **past},
        correlation_id=event.correlation_id if event else None,
        timestamp=event.time if event else None,
        app_id=_short(event.source if event else None),
    )


def _short(text: str | None) -> str:
    """Text that AMQP takes as a property; longer text is left out."""
    return text if text and len(text.encode()) <= _SHORT else ""
