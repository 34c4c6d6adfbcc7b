"""The AsyncAPI 3.0 document of the bus: a channel for each event type and each queue, and who sends and receives there.

https://www.asyncapi.com/docs/reference/specification/v3.0.0, with the bindings for AMQP 0-9-1, version 0.3.0.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from infra import version
from infra.documents.embedding import PLACE, embedded
from infra.documents.envelopes import CONTENT_TYPE, ENVELOPE, HEADERS, envelope_of, example_message
from infra.documents.facts import CONSUMER, Facts, Kind, Listener, Publisher, Server
from infra.rabbitmq.topology import EVENTS, consumer_queue_arguments

Json = dict[str, Any]

_BINDINGS = "0.3.0"
_DESCRIPTION = (
    "Every event is published to one topic exchange under its type, and each consumer has a queue of its own that is "
    "bound to the types that it takes. Messages are CloudEvents 1.0 in structured JSON. They are delivered at least "
    "once: the id of an event says whether it is a repetition. Whoever may announce events does so through the gateway "
    "(`POST /events`, and `POST /jobs` for work, see `/openapi.json`), never on the broker itself."
)
_LOGIN = {"$ref": "#/components/securitySchemes/login"}


def document(facts: Facts, servers: Iterable[Server]) -> Json:
    """The whole document; consumers that are on their way out are left out."""
    listeners = [each for each in facts.listeners if not each.is_retiring]
    hosts = {"broker" if place == 1 else f"broker-{place}": each for place, each in enumerate(servers, 1)}
    vhost = next((each.vhost for each in hosts.values()), "/")
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Tidings", "version": version.version(), "description": _DESCRIPTION},
        "defaultContentType": CONTENT_TYPE,
        "servers": {name: _server(each) for name, each in hosts.items()},
        "channels": {
            **{kind.type: _type_channel(kind, vhost) for kind in facts.kinds},
            **{each.name: _queue_channel(each, facts.kinds, vhost) for each in listeners},
        },
        "operations": {
            **{name: made for each in facts.publishers for name, made in _sends(each)},
            **{f"{each.name}-receives": _receives(each, facts.kinds) for each in listeners},
        },
        "components": _components(facts.kinds),
    }


def _server(server: Server) -> Json:
    return {
        "host": server.host,
        "pathname": f"/{quote(server.vhost, safe='')}",
        "protocol": server.protocol,
        "protocolVersion": "0.9.1",
        "description": f"RabbitMQ, virtual host {server.vhost}",
        "security": [_LOGIN],
    }


def _type_channel(kind: Kind, vhost: str) -> Json:
    exchange = {"name": EVENTS, "type": "topic", "durable": True, "autoDelete": False, "vhost": vhost}
    return {
        "address": kind.address,
        **_described(kind.description),
        **_parameters(kind),
        "messages": {kind.type: _message_reference(kind)},
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": _BINDINGS}},
    }


def _parameters(kind: Kind) -> Json:
    """Of a family: what stands in its address for the last word of a member's type."""
    if kind.member is None:
        return {}
    place = {"description": "Which member of the family.", "location": f"$message.payload#/data/{kind.member}"}
    return {"parameters": {kind.member: place}}


def _queue_channel(listener: Listener, kinds: Iterable[Kind], vhost: str) -> Json:
    queue = {"name": listener.name, "durable": True, "exclusive": False, "autoDelete": False, "vhost": vhost}
    return {
        "address": listener.name,
        **_described(listener.description),
        "messages": {each.type: _message_reference(each) for each in kinds if listener.takes(each.type)},
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": queue,
                "bindingVersion": _BINDINGS,
                "x-queue-arguments": consumer_queue_arguments(listener.description),
                "x-bound-to": {"exchange": EVENTS, "routingKeys": list(listener.types)},
            }
        },
    }


def _sends(publisher: Publisher) -> Iterable[tuple[str, Json]]:
    """One operation for each type, since each is a channel."""
    prefix = publisher.name if publisher.kind == CONSUMER else f"{publisher.kind}-{publisher.name}"
    for event_type in publisher.types:
        yield (
            f"{prefix}-sends-{event_type}",
            {
                "action": "send",
                "channel": _reference("channels", event_type),
                "summary": f"The {publisher.kind} {publisher.name} announces it.",
                **_described(publisher.description),
                "messages": [_reference("channels", event_type, "messages", event_type)],
                "bindings": {
                    "amqp": {"deliveryMode": 2, "mandatory": True, "timestamp": True, "bindingVersion": _BINDINGS}
                },
            },
        )


def _receives(listener: Listener, kinds: Iterable[Kind]) -> Json:
    return {
        "action": "receive",
        "channel": _reference("channels", listener.name),
        "summary": f"The consumer {listener.name} takes it.",
        **_described(listener.description),
        "messages": [
            _reference("channels", listener.name, "messages", each.type) for each in kinds if listener.takes(each.type)
        ],
        "bindings": {"amqp": {"ack": True, "bindingVersion": _BINDINGS}},
        # Not what a kind of jobs takes: that is the schema of its message.
        "x-options": {name: each for name, each in listener.options.items() if name != "job"},
    }


def _components(kinds: Iterable[Kind]) -> Json:
    schemas: Json = {"cloudevent": ENVELOPE, "headers": HEADERS}
    for kind in kinds:
        if kind.schema is not None:
            schemas |= embedded(kind.schema, f"{kind.type}.{kind.version}")
    return {
        "schemas": schemas,
        "messages": {each.type: _message(each) for each in kinds},
        "securitySchemes": {
            "login": {"type": "userPassword", "description": "A user of the broker with rights on the virtual host."}
        },
    }


def _message(kind: Kind) -> Json:
    example = example_message(kind)
    return {
        "name": kind.type,
        "title": f"{kind.type} version {kind.version}" if kind.is_known else kind.type,
        **_described(kind.description or "This version of Tidings does not know the type."),
        "contentType": CONTENT_TYPE,
        "correlationId": {
            "description": "The first cause of all that followed.",
            "location": "$message.payload#/correlationid",
        },
        "headers": {"$ref": f"{PLACE}headers"},
        "payload": envelope_of(kind),
        "bindings": {"amqp": {"messageType": kind.type, "bindingVersion": _BINDINGS}},
        **({} if example is None else {"examples": [example]}),
    }


def _message_reference(kind: Kind) -> Json:
    return _reference("components", "messages", kind.type)


def _reference(*path: str) -> Json:
    # A name of a type, a consumer or a schedule has no character that a JSON pointer or a URI would have to escape.
    return {"$ref": "#/" + "/".join(path)}


def _described(text: str) -> Json:
    return {"description": text} if text else {}
