"""The CloudEvents envelope of every message, as a schema, and filled in as an example."""

from typing import Any

from infra.documents.embedding import PLACE
from infra.documents.facts import Kind
from infra.rabbitmq.messages import ATTEMPT, CONTENT_TYPE, TRACEPARENT

__all__ = ["CONTENT_TYPE", "ENVELOPE", "HEADERS", "envelope_of", "example_message"]

_AN_ID, _A_MOMENT = "019aa0c4-7a00-7000-8000-000000000001", "2026-11-22T09:30:00.000000Z"
_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_ID: dict[str, Any] = {"type": "string", "format": "uuid"}
_TRACEPARENT: dict[str, Any] = {"type": "string", "description": "W3C trace context.", "examples": [_TRACE]}
#: What all messages have in common; a consumer passes over further attributes.
ENVELOPE: dict[str, Any] = {
    "type": "object",
    "description": "CloudEvents 1.0, structured content mode.",
    "required": ["specversion", "id", "type", "source", "time", "dataschema", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {**_ID, "description": "UUIDv7; the same each time the event is delivered."},
        "type": {"type": "string", "description": "The routing key, too."},
        "source": {"type": "string", "format": "uri-reference", "description": "The program that announced it."},
        "subject": {"type": "string", "description": "Whom or what it is about."},
        "time": {"type": "string", "format": "date-time", "description": "When it happened, in UTC."},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {"type": "string", "format": "uri-reference", "description": "`/schemas/<type>/<version>`"},
        "correlationid": {**_ID, "description": "The first cause of all that followed."},
        "causationid": {**_ID, "description": "The direct cause; missing when there is none."},
        "replayof": {**_ID, "description": "The event that an operator corrected by this one."},
        "traceparent": _TRACEPARENT,
        "data": {"type": "object"},
    },
}
#: What is repeated outside of the envelope, and how often it was tried.
HEADERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        ATTEMPT: {"type": "integer", "minimum": 1, "description": "Number of the try, 1 for the first."},
        TRACEPARENT: _TRACEPARENT,
    },
}


def envelope_of(kind: Kind) -> dict[str, Any]:
    """The schema of a message of this type."""
    own: dict[str, Any] = {"type": {"const": kind.type}}
    if kind.member is not None:
        own["type"] = {"pattern": f"^{kind.type.replace('.', '[.]')}[.]"}
    if kind.is_known:
        own["dataschema"] = {"const": kind.schema_path}
        own["data"] = {"$ref": f"{PLACE}{kind.type}.{kind.version}"}
    return {"allOf": [{"$ref": f"{PLACE}cloudevent"}, {"type": "object", "properties": own}]}


def example_message(kind: Kind) -> dict[str, Any] | None:
    """A message of this type as it may be read from its queue; None when no data for it is known."""
    if kind.example is None:
        return None
    own_type = kind.type if kind.member is None else f"{kind.type}.{kind.example[kind.member]}"
    about = None if kind.subject is None else kind.example.get(kind.subject)
    payload = {
        "specversion": "1.0",
        "id": _AN_ID,
        "type": own_type,
        "source": "/gateway",
        **({} if about is None else {"subject": str(about)}),
        "time": _A_MOMENT,
        "datacontenttype": "application/json",
        "dataschema": kind.schema_path,
        "correlationid": _AN_ID,
        "data": dict(kind.example),
    }
    return {"name": "example", "headers": {ATTEMPT: 1}, "payload": payload}
