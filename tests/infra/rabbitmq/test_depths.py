"""How full queues are: exact, without making any, and in one line when nobody answers."""

from datetime import date

import pytest

from events.clock import DayEnded
from events.envelope import announce, encode
from infra.errors import BrokerUnavailable
from infra.local.ports import free_port
from infra.rabbitmq.blocking import BlockingPublisher
from infra.rabbitmq.depths import Depth, depths
from infra.rabbitmq.messages import event_message
from tests.brokers import BrokerApi


def test_each_queue_that_exists_tells_what_waits_and_who_works(vhost: str, broker_api: BrokerApi) -> None:
    publisher = BlockingPublisher(vhost, name="test")
    try:
        publisher.declare([("sms", ["day.ended"], ""), ("other", ["user.registered"], "")])
        for day in (1, 2, 3):
            envelope = announce(DayEnded(day=date(2026, 11, day)), source="/test")
            publisher.publish(event_message(envelope.id, envelope.type, encode(envelope)))
        assert {"sms": Depth(3, 0), "other": Depth(0, 0)} == depths(vhost, ["missing", "sms", "gone", "other"])
        assert {} == depths(vhost, ["missing"])
    finally:
        publisher.close()


def test_nobody_there_is_one_error() -> None:
    with pytest.raises(BrokerUnavailable, match="RabbitMQ cannot be reached"):
        depths(f"amqp://u:p@127.0.0.1:{free_port(20000, set())}/x", ["sms"])
