"""Rules of reading a delivery: everything in it is the sender's word."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pika.spec import Basic, BasicProperties

from infra.rabbitmq.deliveries import MOST_ATTEMPTS, Delivery, Epoch


def delivery_of(**properties: Any) -> Delivery:
    deliver = Basic.Deliver("a-tag", 5, True, "", "")
    return Delivery("a-consumer", Epoch(), deliver, BasicProperties(**properties), b"SECRET")


@pytest.mark.parametrize(
    ("header", "attempt"),
    [(1, 1), (3, 3), (0, 1), (-4, 1), (True, 1), ("7", 1), (2.5, 1), (None, 1), ([], 1), (2**62, MOST_ATTEMPTS)],
)
def test_an_attempt_that_is_no_sane_number_counts_as_the_first(header: Any, attempt: int) -> None:
    assert delivery_of(headers={"x-attempt": header}).incoming().attempt == attempt


def test_a_delivery_without_headers_is_a_first_try() -> None:
    incoming = delivery_of().incoming()

    assert (incoming.attempt, incoming.redelivered, incoming.replay) == (1, True, False)


def test_only_true_marks_a_replay() -> None:
    assert delivery_of(headers={"x-replay": True}).incoming().replay
    assert not delivery_of(headers={"x-replay": "true"}).incoming().replay


def test_the_message_keeps_what_the_sender_said_of_it() -> None:
    headers = {"traceparent": "00-a-b-01"}
    message = delivery_of(
        message_id="id",
        type="user.registered",
        correlation_id="c",
        timestamp=86_400,
        app_id="/gateway",
        headers=headers,
    ).message()

    assert (message.message_id, message.type, message.correlation_id) == ("id", "user.registered", "c")
    assert (message.timestamp, message.app_id) == (datetime(1970, 1, 2, tzinfo=UTC), "/gateway")
    assert (message.headers, message.body) == (headers, b"SECRET")


def test_properties_that_make_no_sense_are_left_out() -> None:
    message = delivery_of(message_id=b"\xff", type=b"\xfe", timestamp=2**63, headers=None).message()

    assert (message.message_id, message.type, message.timestamp, message.headers) == ("", "", None, {})


def test_the_text_of_a_delivery_shows_neither_body_nor_headers() -> None:
    delivery = delivery_of(headers={"email": "ada@example.com"})

    assert repr(delivery) == "<delivery 5 of a-consumer, 6 bytes>"
    assert "SECRET" not in f"{delivery.incoming()!r}{delivery.message()!r}"
