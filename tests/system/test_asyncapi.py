"""What the AsyncAPI document of a whole Tidings says of the broker is what the broker itself says."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.rabbitmq.management import Binding, Exchange, Management
from infra.rabbitmq.topology import EVENTS
from tests.documents import faults
from tests.installation import Installation

pytestmark = pytest.mark.system


def bindings(document: dict[str, Any], is_a: str) -> dict[str, dict[str, Any]]:
    """Of all channels of one kind, by address."""
    found = {each["address"]: each["bindings"]["amqp"] for each in document["channels"].values()}
    return {address: each for address, each in found.items() if each["is"] == is_a}


def test_exchange_queues_their_arguments_and_their_bindings_are_as_on_the_broker(on_sqlite: Installation) -> None:
    where, (status, document) = on_sqlite.status(), on_sqlite.ask("GET", "/asyncapi.json")
    present = Management(where["management"], where["amqp"]).present()
    assert (200, []) == (status, faults(document))
    (server,) = document["servers"].values()
    amqp = urlsplit(where["amqp"])
    assert (f"{amqp.hostname}:{amqp.port}", amqp.path) == (server["host"], server["pathname"])
    assert str(amqp.password) not in str(document)

    (exchange,) = {
        str(each["exchange"]): each["exchange"] for each in bindings(document, "routingKey").values()
    }.values()
    assert present.exchanges[EVENTS] == Exchange(exchange["name"], exchange["type"], exchange["durable"])
    queues = bindings(document, "queue")
    assert {"activity-log", "welcome-email"} <= queues.keys()
    for name, told in queues.items():
        assert told["x-queue-arguments"] == dict(present.queues[name].arguments)
        bound = {each for each in present.bindings if each.queue == name and each.exchange == EVENTS}
        assert {Binding(EVENTS, key, name) for key in told["x-bound-to"]["routingKeys"]} == bound
