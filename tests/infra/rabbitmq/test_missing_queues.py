"""What a declaration finds out about queues: which were missing, and how much waits in the others."""

from collections.abc import Iterator

import pytest

from infra.rabbitmq.blocking import BlockingPublisher
from infra.rabbitmq.messages import Message
from infra.rabbitmq.topology import DEAD_LETTERS, TIERS
from tests.brokers import BrokerApi

CONSUMERS = [("welcome-email", ["user.registered"], "Welcome each new user"), ("activity-log", ["#"], "Every event")]
ALL = {"welcome-email", "activity-log", DEAD_LETTERS, *TIERS.values()}


@pytest.fixture
def publisher(vhost: str) -> Iterator[BlockingPublisher]:
    made = BlockingPublisher(vhost, name="test")
    yield made
    made.close()


def _message(number: int) -> Message:
    return Message("", "welcome-email", b"{}", str(number), "t", {}, None, None, "test")


def test_every_queue_is_missing_at_first_and_none_after_that(publisher: BlockingPublisher) -> None:
    assert {} == publisher.inspect(CONSUMERS).result(20)
    assert ALL == publisher.made.keys()
    publisher.made.clear()
    assert dict.fromkeys(ALL, 0) == publisher.inspect(CONSUMERS).result(20)
    assert {} == publisher.made


def test_a_queue_that_was_deleted_is_made_again_with_its_binding_and_named(
    publisher: BlockingPublisher, vhost: str, broker_api: BrokerApi
) -> None:
    publisher.declare(CONSUMERS)
    publisher.made.clear()
    broker_api.delete_queue(vhost, "activity-log")
    broker_api.delete_queue(vhost, "retry.2m")
    publisher.declare(CONSUMERS)
    assert {"activity-log", "retry.2m"} == publisher.made.keys()
    assert {("events", "#", "activity-log"), ("retry.2m", "", "retry.2m")} <= broker_api.bindings(vhost)


def test_a_binding_that_was_deleted_is_made_again(
    publisher: BlockingPublisher, vhost: str, broker_api: BrokerApi
) -> None:
    publisher.declare(CONSUMERS)
    with broker_api.channel(vhost) as channel:
        channel.queue_unbind("activity-log", "events", "#")
    publisher.inspect(CONSUMERS).result(20)
    assert ("events", "#", "activity-log") in broker_api.bindings(vhost)


def test_what_waits_is_counted_exactly_and_at_once(publisher: BlockingPublisher) -> None:
    publisher.declare(CONSUMERS)
    for number in range(7):
        publisher.publish(_message(number))
    waiting = publisher.inspect(CONSUMERS).result(20)
    assert (7, 0) == (waiting["welcome-email"], waiting["activity-log"])


def test_a_queue_with_other_arguments_is_there_and_its_messages_count(
    publisher: BlockingPublisher, vhost: str, broker_api: BrokerApi
) -> None:
    with broker_api.channel(vhost) as channel:
        channel.queue_declare("welcome-email", durable=True)
    publisher.inspect(CONSUMERS).result(20)
    publisher.publish(_message(1))
    assert 1 == publisher.inspect(CONSUMERS).result(20)["welcome-email"]
    assert "welcome-email" not in publisher.made
