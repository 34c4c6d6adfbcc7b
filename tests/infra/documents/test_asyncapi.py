"""The AsyncAPI document: valid for whatever consumers, publishers and types there are, and true of the bus."""

import json
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from events.envelope import announce, decode, encode, event_types
from events.jobs import JobRequested
from events.registry import Event, families, forget
from events.strict_json import read
from events.users import UserRegistered
from infra.documents import facts
from infra.documents.asyncapi import document
from infra.documents.facts import Facts, Listener, Publisher, Server
from infra.subscriptions import Batch, Subscription, described
from tests import kinds
from tests.documents import faults, payload_faults

JOB = "018f9c5e-7a00-7000-8000-000000000002"
URL = "amqp://tidings:secret@one:5672,two:5673/main%2Fbus"
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,6}){0,2}", fullmatch=True)
TYPES = st.sampled_from(sorted(event_types())) | st.from_regex(r"[a-z]{1,6}(\.[a-z]{1,6}){1,3}", fullmatch=True)
SEVERAL = st.lists(TYPES, min_size=1, max_size=4, unique=True).map(tuple)
TEXT = st.text(max_size=40)
SUBSCRIPTIONS = st.builds(
    Subscription,
    consumer=NAMES,
    types=SEVERAL | st.just(("#",)),
    handler=st.just(print),
    concurrency=st.integers(1, 64),
    description=TEXT,
    batch=st.none() | st.builds(Batch, size=st.integers(2, 500)),
    ordered=st.booleans(),
    pause_after=st.none() | st.integers(1, 50),
    publishes=st.none() | SEVERAL,
)
PUBLISHERS = st.builds(
    Publisher, kind=st.sampled_from(["program", "schedule"]), name=NAMES, types=SEVERAL, description=TEXT
)


def made(*listeners: Listener, publishers: tuple[Publisher, ...] = (), url: str = URL) -> dict[str, Any]:
    kinds = facts._kinds(publishers, listeners)
    return document(Facts(kinds, publishers, listeners), facts.servers(url))


def listener(subscription: Subscription) -> Listener:
    return Listener(subscription.consumer, subscription.description, subscription.types, described(subscription))


@settings(deadline=None)  # the first document takes the schemas of all types
@given(st.lists(SUBSCRIPTIONS, max_size=5, unique_by=lambda each: each.consumer), st.lists(PUBLISHERS, max_size=5))
def test_the_document_is_valid_whatever_the_consumers_and_publishers(
    subscriptions: list[Subscription], publishers: list[Publisher]
) -> None:
    listeners = [listener(each) for each in subscriptions]
    said = facts._handlers(listeners)
    assert [] == faults(made(*listeners, publishers=(*publishers, *said)))


def test_the_judge_finds_what_is_wrong() -> None:
    wrong = made(Listener("sms", "", ("user.registered",)))
    wrong["channels"]["sms"]["bindings"]["amqp"]["is"] = "pipe"
    wrong["operations"]["sms-receives"]["channel"] = {"$ref": "#/channels/nowhere"}
    assert {"channels/sms", "#/channels/nowhere"} <= {each.split(":")[0] for each in faults(wrong)}


def test_each_type_is_a_channel_of_the_exchange_and_each_consumer_a_queue_that_is_bound_to_its_types() -> None:
    found = made(Listener("sms", "Sends a message.", ("user.registered",)), Listener("log", "", ("#",)))
    channels = found["channels"]
    assert {*event_types(), *families(), "sms", "log"} == channels.keys()
    of_type = channels["user.registered"]
    assert ("user.registered", "routingKey", "events") == (
        of_type["address"], of_type["bindings"]["amqp"]["is"], of_type["bindings"]["amqp"]["exchange"]["name"],
    )  # fmt: skip
    queue = channels["sms"]["bindings"]["amqp"]
    assert ("sms", True, "main/bus") == (queue["queue"]["name"], queue["queue"]["durable"], queue["queue"]["vhost"])
    assert {"exchange": "events", "routingKeys": ["user.registered"]} == queue["x-bound-to"]
    assert "quorum" == queue["x-queue-arguments"]["x-queue-type"]
    assert ["user.registered"] == list(channels["sms"]["messages"])
    assert sorted([*event_types(), *families()]) == list(channels["log"]["messages"])


def test_who_sends_and_who_receives_is_an_operation_on_a_channel() -> None:
    sms = Listener("sms", "", ("user.registered",))
    publishers = (
        Publisher("program", "gateway", ("user.registered",)),
        Publisher("schedule", "heartbeat", ("heartbeat.ticked",)),
        Publisher("consumer", "sms", ("user.week.passed",)),
    )
    operations = made(sms, publishers=publishers)["operations"]
    assert {
        "program-gateway-sends-user.registered": ("send", "#/channels/user.registered"),
        "schedule-heartbeat-sends-heartbeat.ticked": ("send", "#/channels/heartbeat.ticked"),
        "sms-sends-user.week.passed": ("send", "#/channels/user.week.passed"),
        "sms-receives": ("receive", "#/channels/sms"),
    } == {name: (each["action"], each["channel"]["$ref"]) for name, each in operations.items()}


def test_a_consumer_that_is_on_its_way_out_is_not_in_it() -> None:
    found = made(Listener("sms", "", ("user.registered",), is_retiring=True))
    assert "sms" not in found["channels"]
    assert {} == found["operations"]


def test_a_type_that_only_another_program_knows_is_a_channel_without_a_schema_of_its_data() -> None:
    found = made(Listener("sms", "", ("parcel.sent",)))
    assert ["parcel.sent"] == list(found["channels"]["sms"]["messages"])
    assert "parcel.sent.0" not in found["components"]["schemas"]


def test_a_kind_of_jobs_is_a_member_of_the_family_with_its_own_parameters() -> None:
    found = made(
        listener(kinds.subscription("sales-report")), publishers=(Publisher("program", "gateway", ("job.requested",)),)
    )
    assert [] == faults(found)
    family, member = (found["channels"][name] for name in ("job.requested", "job.requested.sales-report"))
    assert ("job.requested.{kind}", ["kind"]) == (family["address"], list(family["parameters"]))
    assert ("job.requested.sales-report", "Does sales-report.") == (member["address"], member["description"])
    for kind, of_family, fits in (("sales-report", True, True), ("dance", True, False)):
        event = JobRequested(job_id=JOB, kind=kind, parameters={"since": "2026-11-01T00:00:00Z"})
        message: Any = read(encode(announce(event, source="/gateway")))
        assert of_family == ([] == payload_faults(found, "job.requested", message))
        assert fits == ([] == payload_faults(found, "job.requested.sales-report", message))
        message["data"]["parameters"] = {"days": 0}
        assert [] != payload_faults(found, "job.requested.sales-report", message)
    for name in ("job.requested", "job.requested.sales-report"):
        (example,) = found["components"]["messages"][name]["examples"]
        assert [] == payload_faults(found, name, example["payload"])
        assert encode(decode(json.dumps(example["payload"]).encode()))


def test_the_servers_are_the_hosts_of_the_broker_without_its_password() -> None:
    found = made()
    assert [("one:5672", "/main%2Fbus"), ("two:5673", "/main%2Fbus")] == [
        (each["host"], each["pathname"]) for each in found["servers"].values()
    ]
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("amqp://u:p@host", Server("host:5672", "amqp", "/")),
        ("amqps://u:p@host/", Server("host:5671", "amqps", "/")),
        ("amqp://u:p@[::1]:5673/x", Server("[::1]:5673", "amqp", "x")),
    ],
)
def test_a_server_is_read_from_a_url(url: str, server: Server) -> None:
    assert (server,) == facts.servers(url)


def test_a_real_message_is_what_the_document_says_and_another_is_not() -> None:
    found = made()
    event = UserRegistered(user_id="018f9c5e-7a00-7000-8000-000000000001", name="Ada", email="ada@example.com")
    message: Any = read(encode(announce(event, source="/gateway")))
    assert [] == payload_faults(found, "user.registered", message)
    assert [] != payload_faults(found, "user.registered", message | {"type": "user.removed"})
    assert [] != payload_faults(found, "user.registered", message | {"data": {"name": "Ada"}})


def test_each_type_has_an_example_that_fits_its_own_schema() -> None:
    found = made()
    for event_type in event_types():
        (example,) = found["components"]["messages"][event_type]["examples"]
        assert [] == payload_faults(found, event_type, example["payload"]), event_type


def test_types_with_every_sort_of_field_give_a_valid_document() -> None:
    class Colour(Enum):
        RED = "red"

    class Node(BaseModel):
        children: "list[Node]"
        kind: Literal["node"] = "node"

    class Leaf(BaseModel):
        kind: Literal["leaf"]

    class Odd(Event, type="very.odd", version=3, subject="discriminator"):
        colour: Colour = Field(description="Beside a reference, where draft 07 sees nothing.")
        tree: Node | None
        either: Annotated[Node | Leaf, Field(discriminator="kind")]
        pair: tuple[int, str]
        discriminator: str
        properties: dict[str, list[Colour]]
        anything: Any = None

    try:
        found = made(Listener("odd", "", ("very.odd",)))
    finally:
        forget("very.odd")
    assert [] == faults(found)
    assert {"very.odd.3", "very.odd.3.Node", "very.odd.3.Leaf", "very.odd.3.Colour"} <= found["components"][
        "schemas"
    ].keys()
    (example,) = found["components"]["messages"]["very.odd"]["examples"]
    assert "red" == example["payload"]["data"]["colour"]
    assert [] == payload_faults(found, "very.odd", example["payload"])
