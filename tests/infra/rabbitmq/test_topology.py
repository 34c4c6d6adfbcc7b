"""What exists on the broker: the names, kinds and arguments that everybody else relies on."""

import aio_pika
import pytest

from infra.errors import TopologyConflict
from infra.rabbitmq import topology
from infra.rabbitmq.publisher import Publisher
from tests.brokers import BrokerApi

pytestmark = pytest.mark.anyio

CONSUMERS = [("welcome-email", ["user.registered"], "Welcome each new user"), ("activity-log", ["#"], "Every event")]
AT_LEAST_ONCE = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish", "x-queue-type": "quorum"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def declared(vhost: str) -> str:
    await _declare(vhost)
    return vhost


async def _declare(vhost: str, consumers: list[tuple[str, list[str], str]] = CONSUMERS) -> None:
    publisher = Publisher(vhost, name="test")
    try:
        await publisher.declare(consumers)
    finally:
        await publisher.close()


async def test_the_exchanges_are_these_and_no_others(declared: str, broker_api: BrokerApi) -> None:
    kinds = {name: (exchange["type"], exchange["durable"]) for name, exchange in broker_api.exchanges(declared).items()}
    tiers = dict.fromkeys(["retry.5s", "retry.30s", "retry.2m", "retry.10m", "retry.1h"], ("fanout", True))
    assert {"events": ("topic", True), "dead": ("fanout", True), **tiers} == kinds


async def test_a_consumer_has_a_quorum_queue_of_its_name_that_dead_letters_to_the_dead_exchange(
    declared: str, broker_api: BrokerApi
) -> None:
    queue = broker_api.queues(declared)["welcome-email"]
    assert queue["arguments"] == {
        **AT_LEAST_ONCE,
        "x-dead-letter-exchange": "dead",
        "x-delivery-limit": 20,
        "x-description": "Welcome each new user",
    }
    assert queue["durable"]


async def test_a_consumer_queue_is_bound_by_its_event_types(declared: str, broker_api: BrokerApi) -> None:
    bindings = {binding for binding in broker_api.bindings(declared) if binding[0] == "events"}
    assert {("events", "user.registered", "welcome-email"), ("events", "#", "activity-log")} == bindings


@pytest.mark.parametrize(("seconds", "name"), topology.TIERS.items())
async def test_a_tier_keeps_a_message_for_its_time_and_sends_it_to_the_queue_its_key_names(
    declared: str, broker_api: BrokerApi, seconds: int, name: str
) -> None:
    arguments = broker_api.queues(declared)[name]["arguments"]
    arguments.pop("x-description")
    assert arguments == {**AT_LEAST_ONCE, "x-message-ttl": seconds * 1000, "x-dead-letter-exchange": ""}


async def test_the_dead_letters_never_expire(declared: str, broker_api: BrokerApi) -> None:
    arguments = broker_api.queues(declared)["dead-letters"]["arguments"]
    arguments.pop("x-description")
    assert arguments == {"x-queue-type": "quorum", "x-delivery-limit": topology.NO_DELIVERY_LIMIT}
    assert ("dead", "", "dead-letters") in broker_api.bindings(declared)


async def test_declaring_again_is_harmless_even_with_another_description(declared: str, broker_api: BrokerApi) -> None:
    await _declare(declared, [("welcome-email", ["user.registered"], "Another text")])
    assert "welcome-email" in broker_api.queues(declared)


async def test_a_queue_with_other_arguments_is_one_clear_error_that_names_it(vhost: str) -> None:
    connection = await aio_pika.connect(vhost)
    async with connection:
        await (await connection.channel()).declare_queue("welcome-email", durable=True)
    with pytest.raises(TopologyConflict, match=r"'welcome-email' exists .* with other arguments"):
        await _declare(vhost)


async def test_after_a_conflict_all_the_rest_is_declared_and_the_old_queue_is_bound(
    vhost: str, broker_api: BrokerApi
) -> None:
    with broker_api.channel(vhost) as channel:
        channel.queue_declare("retry.5s", durable=True)
        channel.queue_declare("welcome-email", durable=True)
    with pytest.raises(TopologyConflict, match=r"'retry.5s' .* And 1 more\.$"):
        await _declare(vhost)
    assert broker_api.queues(vhost).keys() == {
        "dead-letters",
        *topology.TIERS.values(),
        "welcome-email",
        "activity-log",
    }
    assert ("events", "user.registered", "welcome-email") in broker_api.bindings(vhost)


@pytest.mark.parametrize(("before", "after"), [(["user.registered"], ["day.ended"]), (["#"], ["day.ended"])])
async def test_a_consumer_that_takes_other_types_now_is_unbound_from_those_before(
    vhost: str, broker_api: BrokerApi, before: list[str], after: list[str]
) -> None:
    await _declare(vhost, [("changing", before, ""), ("activity-log", ["#"], "")])
    await _declare(vhost, [("changing", after, ""), ("activity-log", ["#"], "")])
    bindings = {binding for binding in broker_api.bindings(vhost) if binding[0] == "events"}
    assert bindings == {("events", "day.ended", "changing"), ("events", "#", "activity-log")}


@pytest.mark.parametrize(
    ("seconds", "tier"),
    [
        (0, (5, "retry.5s")),
        (5, (5, "retry.5s")),
        (5.1, (30, "retry.30s")),
        (3600, (3600, "retry.1h")),
        (9999, (3600, "retry.1h")),
    ],
)
def test_a_delay_is_rounded_up_to_the_next_tier(seconds: float, tier: tuple[int, str]) -> None:
    assert topology.tier_at_least(seconds) == tier
