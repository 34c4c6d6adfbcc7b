"""What RabbitMQ 3.10 and 4.x do differently, and we alike on both."""

import threading
from functools import partial
from typing import Any

import pytest

from infra.outcomes import Done, Incoming, Outcome
from infra.rabbitmq.publisher import Publisher
from infra.rabbitmq.topology import DEAD_LETTERS, DELIVERY_LIMIT
from tests.brokers import BrokerApi
from tests.waiting import until
from tests.workers import Bench, collect


def test_a_delivery_that_outlasts_the_brokers_patience_is_handled_again_and_stops_nobody(bench: Bench) -> None:
    """3.10 closes the channel; 4.3 cancels the consumer and leaves the channel open without one."""
    deliveries, quick, may_end = list[bytes](), list[bytes](), threading.Event()

    def handle(incoming: Incoming) -> Outcome:
        deliveries.append(incoming.body)
        if len(deliveries) == 1:
            may_end.wait(60)
        return Done()

    with (
        bench.api.consumer_timeout(1.0),
        bench.working({"slow": handle, "quick": collect(quick)}) as broker,
    ):
        bench.send("slow", b"x")
        until(lambda: deliveries == [b"x", b"x"], seconds=20, what="the second delivery")
        may_end.set()
        until(lambda: all(broker.attached.values()), what="the attachment")
        bench.send("slow", b"later")
        bench.send("quick", b"other")
        until(lambda: deliveries[2:] == [b"later"] and quick == [b"other"], what="what came later")

    assert [0, 0] == [bench.api.messages(bench.vhost, queue) for queue in ("slow", "quick")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_what_the_broker_gave_up_is_dead_and_stays_however_often_it_is_taken_and_given_back(
    vhost: str, broker_api: BrokerApi
) -> None:
    """4.3 goes on counting behind the dead exchange, and drops at 20 what a queue has no limit of its own for."""
    publisher = Publisher(vhost, name="test")
    await publisher.declare([("log", ["user.registered"], "Test")])
    await publisher.close()
    with broker_api.channel(vhost) as channel:
        channel.confirm_delivery()
        channel.basic_publish("", "log", b"poison")
        for _ in range(DELIVERY_LIMIT + 1):
            give_back(channel, "log")
        for _ in range(100):
            give_back(channel, DEAD_LETTERS)
        _, properties, body = until(partial(got, channel, DEAD_LETTERS), what="the dead letter")
    death = properties.headers["x-death"][0]
    assert (b"poison", "delivery_limit", "log") == (body, death["reason"], death["queue"])


def give_back(channel: Any, queue: str) -> None:
    """Take the one message of a queue and give it back so that every version counts it."""
    method, _, _ = until(partial(got, channel, queue), what=f"the message in {queue}")
    channel.basic_reject(method.delivery_tag, requeue=True)


def got(channel: Any, queue: str) -> Any:
    answer = channel.basic_get(queue)
    return None if answer[0] is None else answer
