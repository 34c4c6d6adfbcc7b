"""An event with its envelope, and the two forms of it: the object, and the CloudEvents 1.0 bytes on the wire."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from uuid_utils import uuid7

from events import causes, strict_json
from events.attributes import LONGEST_TEXT, is_id, is_text, read_time, traceparent_or_none, write_time
from events.errors import InvalidData, NewerVersion, TooLarge, UndecodableEvent
from events.registry import Event, check_upcasters, event_types, newest, subject_of, type_of, upcast, upcaster

__all__ = [
    "MAX_BYTES",
    "Envelope",
    "Event",
    "announce",
    "check_upcasters",
    "decode",
    "encode",
    "event_types",
    "upcaster",
]

#: Bytes of one event on the wire.
MAX_BYTES = 256 * 1024

_SCHEMA = re.compile(r"/schemas/([a-z0-9.]+)/([1-9][0-9]{0,5})")
_head = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event and what is known about it; its text form never shows the data."""

    #: UUIDv7 in canonical form, as are the two ids below.
    id: str
    type: str
    #: The program that announced it, such as `/gateway`.
    source: str
    subject: str | None
    #: When it happened, in UTC.
    time: datetime
    data: Event = field(repr=False)
    #: The first cause of all that followed; the event's own id if it is the first.
    correlation_id: str
    #: The direct cause; None for the first.
    causation_id: str | None
    #: W3C trace context.
    traceparent: str | None
    #: Types of its causes, see `events.causes`; None for the first.
    causation_types: str | None = None
    #: The event that an operator corrected by announcing this one; None for all others.
    replay_of: str | None = None


def announce(  # noqa: PLR0913  # each but the event and its source may be left out
    event: Event,
    *,
    source: str,
    cause: Envelope | None = None,
    id: str | None = None,  # noqa: A002  # the attribute's own name
    time: datetime | None = None,
    traceparent: str | None = None,
) -> Envelope:
    """Put a new event into its envelope; a cause hands on its correlation id and its own causes, and its trace too.

    Raises:
        ValueError: the source is no usable text, the id no canonical UUID, or the time has no zone.
    """
    _check_own(source, id, time)
    own_id = id or str(uuid7())
    return Envelope(
        id=own_id,
        type=type_of(event),
        source=source,
        subject=subject_of(event),
        time=datetime.now(UTC) if time is None else time.astimezone(UTC),
        data=event,
        correlation_id=cause.correlation_id if cause else own_id,
        causation_id=cause.id if cause else None,
        traceparent=traceparent_or_none(traceparent) or (cause.traceparent if cause else None),
        causation_types=causes.extended(cause.causation_types, cause.type) if cause else None,
    )


def encode(envelope: Envelope) -> bytes:
    """The event as it goes on the wire; what is None is left out.

    Raises:
        TooLarge: more than `MAX_BYTES`.
    """
    event = envelope.data
    attributes = {
        "specversion": "1.0",
        "id": envelope.id,
        "type": envelope.type,
        "source": envelope.source,
        "subject": envelope.subject,
        "time": write_time(envelope.time),
        "datacontenttype": "application/json",
        "dataschema": f"/schemas/{event.TYPE}/{event.VERSION}",
        "correlationid": envelope.correlation_id,
        "causationid": envelope.causation_id,
        causes.ATTRIBUTE: envelope.causation_types,
        "traceparent": envelope.traceparent,
        "replayof": envelope.replay_of,
    }
    head = _head({name: value for name, value in attributes.items() if value is not None})
    # Pydantic writes the data's JSON itself, which is faster than a dump that is then written: join the two.
    body = f'{head[:-1]},"data":{event.model_dump_json()}}}'.encode()
    _check_size(body)
    return body


def decode(body: bytes) -> Envelope:
    """Read an event from the wire, its data always as the newest class; unknown attributes and fields are passed over.

    Raises:
        UndecodableEvent: one of its subclasses, and nothing else, whatever the bytes; never with a part of the body.
    """
    _check_size(body)
    attributes = _attributes(body)
    own_id = _id(attributes, "id")
    event_type = _text(attributes, "type")
    return Envelope(
        id=own_id,
        type=event_type,
        source=_text(attributes, "source"),
        subject=None if attributes.get("subject") is None else _text(attributes, "subject"),
        time=_time(attributes),
        correlation_id=_optional_id(attributes, "correlationid") or own_id,
        causation_id=_optional_id(attributes, "causationid"),
        traceparent=traceparent_or_none(attributes.get("traceparent")),
        replay_of=_optional_id(attributes, "replayof"),
        causation_types=_chain(attributes),
        data=_data(event_type, attributes),
    )


def _check_own(source: str, own_id: str | None, time: datetime | None) -> None:
    if not is_text(source):
        raise ValueError("source must be text such as '/gateway'.")
    if own_id is not None and not is_id(own_id):
        raise ValueError("id must be a UUID in canonical form.")
    if time is not None and time.utcoffset() is None:
        raise ValueError("time must have a zone.")


def _check_size(body: bytes) -> None:
    if len(body) > MAX_BYTES:
        raise TooLarge(f"{len(body)} bytes, {MAX_BYTES} at most")


def _attributes(body: bytes) -> dict[str, Any]:
    attributes = strict_json.read(body)
    if not isinstance(attributes, dict):
        raise InvalidData("not an object")
    if attributes.get("specversion") != "1.0":
        raise InvalidData("specversion: not '1.0'")
    content = attributes.get("datacontenttype")
    if content is not None and not _is_json(content):
        raise InvalidData("datacontenttype: not 'application/json'")
    return attributes


def _is_json(content: object) -> bool:
    return isinstance(content, str) and content.partition(";")[0].strip().lower() == "application/json"


def _text(attributes: dict[str, Any], name: str) -> str:
    value = attributes.get(name)
    if not is_text(value):
        raise _wrong(name, value, f"not a string of 1 to {LONGEST_TEXT} characters without control characters")
    return value


def _id(attributes: dict[str, Any], name: str) -> str:
    value = attributes.get(name)
    if not is_id(value):
        raise _wrong(name, value, "not a UUID in canonical form")
    return value


def _optional_id(attributes: dict[str, Any], name: str) -> str | None:
    return None if attributes.get(name) is None else _id(attributes, name)


def _chain(attributes: dict[str, Any]) -> str | None:
    value = attributes.get(causes.ATTRIBUTE)
    if value is None or causes.is_chain(value):
        return value
    raise _wrong(causes.ATTRIBUTE, value, f"not 1 to {causes.DEEPEST + 1} types of events such as 'user.registered*2'")


def _time(attributes: dict[str, Any]) -> datetime:
    value = attributes.get("time")
    if (moment := read_time(value)) is None:
        raise _wrong("time", value, "not an RFC 3339 time with a zone")
    return moment


def _wrong(name: str, value: object, problem: str) -> InvalidData:
    return InvalidData(f"{name}: {'missing' if value is None else problem}")


def _data(event_type: str, attributes: dict[str, Any]) -> Event:
    event = _read(newest(event_type), attributes)
    if type_of(event) != event_type:
        raise InvalidData("type: not the one that its data says")
    return event


def _read(event_class: type[Event], attributes: dict[str, Any]) -> Event:
    version = _version(event_class, attributes)
    data = attributes.get("data")
    if not isinstance(data, dict):
        raise _wrong("data", data, "not an object")
    try:
        return event_class.model_validate(upcast(event_class.TYPE, version, data))
    except UndecodableEvent:
        raise
    except ValidationError as error:
        raise InvalidData(_problem(error)) from None
    except Exception as error:  # noqa: BLE001  # an event's own validator or upcaster may stumble in any way
        raise InvalidData(f"data: {type(error).__name__} in {event_class.__name__}") from None


def _version(event_class: type[Event], attributes: dict[str, Any]) -> int:
    schema = _SCHEMA.fullmatch(_text(attributes, "dataschema"))
    if schema is None or schema[1] != event_class.TYPE:
        raise InvalidData("dataschema: not '/schemas/<type>/<version>'")
    if (version := int(schema[2])) > event_class.VERSION:
        raise NewerVersion(f"dataschema: newer than {event_class.TYPE} version {event_class.VERSION}")
    return version


def _problem(error: ValidationError) -> str:
    # Pydantic's messages quote characters of the input, and the deeper parts of a place may be its keys: personal data.
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(["data", *(str(part) for part in first["loc"][:1])])
    more = f" (and {len(others)} more)" if others else ""
    return f"{place}: {first['type'].replace('_', ' ')}{more}"
