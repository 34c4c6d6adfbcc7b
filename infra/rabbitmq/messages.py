"""A message as it goes to the broker, whichever client library takes it there."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from infra.errors import MessageRefused
from infra.rabbitmq.topology import EVENTS

CONTENT_TYPE = "application/cloudevents+json"
#: Header of ours: number of the try, 1 for the first. The broker's own headers (`x-death` …) are never relied on.
ATTEMPT = "x-attempt"
#: Header with the W3C trace context.
TRACEPARENT = "traceparent"
#: Header of ours on what an operator sent again.
REPLAY = "x-replay"
#: Header of ours on a replay: the dead letter that it is of.
DEAD_LETTER = "x-tidings-dead-letter"


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
