"""The copies that a consumer publishes: to a retry tier and back to its own queue, or to the dead letters."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from events.envelope import encode
from infra.outcomes import Park
from infra.rabbitmq.dead_letters import dead_message
from infra.rabbitmq.publisher import Message, Publisher, event_message
from infra.rabbitmq.retries import retry_message, same_try
from infra.rabbitmq.topology import Consumer
from infra.version import version
from tests.brokers import BrokerApi
from tests.envelopes import TRACEPARENT, ada
from tests.waiting import until

FIRST = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
CONSUMERS: list[Consumer] = [("welcome-email", ["user.registered"], ""), ("activity-log", ["#"], "")]


def delivered() -> Message:
    """A message as a consumer has it, with what the broker added."""
    envelope = ada()
    message = event_message(envelope.id, envelope.type, encode(envelope))
    return replace(message, headers={**message.headers, "x-death": [{"count": 3}], "x-delivery-count": 2})


def test_a_retry_copy_has_headers_of_our_own_only() -> None:
    copy = retry_message(delivered(), consumer="welcome-email", delay=30, attempt=1, error="SMTP said:\n451 later")
    assert (copy.exchange, copy.routing_key) == ("retry.30s", "welcome-email")
    assert copy.headers == {
        "x-attempt": 2,
        "x-tidings-consumer": "welcome-email",
        "x-tidings-error": "SMTP said: 451 later",
        "traceparent": TRACEPARENT,
    }


def test_a_copy_of_what_cannot_be_handled_now_is_the_same_try() -> None:
    original = replace(delivered(), headers={"x-attempt": 3, "x-replay": True})
    copy = same_try(original, consumer="report", delay=5, attempt=3, reason="Another worker has this job.")
    assert ("retry.5s", "report") == (copy.exchange, copy.routing_key)
    assert (3, True, "Another worker has this job.") == tuple(
        copy.headers[name] for name in ("x-attempt", "x-replay", "x-tidings-error")
    )


def test_a_copy_of_a_replay_is_a_replay_too() -> None:
    replayed = replace(delivered(), headers={"x-replay": True})
    retried = retry_message(replayed, consumer="welcome-email", delay=5, attempt=1, error="")
    dead = dead_message(replayed, Park("handler-error", ""), consumer="welcome-email", attempt=6)
    assert (retried.headers["x-replay"], dead.headers["x-replay"]) == (True, True)


def test_a_copy_is_the_same_event() -> None:
    original = delivered()
    copy = retry_message(original, consumer="welcome-email", delay=5, attempt=1, error="")
    assert copy == replace(original, exchange="retry.5s", routing_key="welcome-email", headers=copy.headers)


def test_a_dead_letter_says_who_gave_it_up_after_how_many_tries_and_why() -> None:
    copy = dead_message(
        delivered(),
        Park("handler-error", "x" * 9000, "builtins.KeyError", "consumers/sms.py:12 in send", FIRST),
        consumer="activity-log",
        attempt=6,
    )
    assert (copy.exchange, copy.routing_key) == ("dead", "activity-log")
    failed_at = datetime.fromisoformat(copy.headers.pop("x-tidings-failed-at"))
    assert timedelta(seconds=5) > datetime.now(UTC) - failed_at
    assert copy.headers == {
        "x-attempt": 6,
        "x-tidings-consumer": "activity-log",
        "x-tidings-reason": "handler-error",
        "x-tidings-error": "x" * 500,
        "x-tidings-exception": "builtins.KeyError",
        "x-tidings-frame": "consumers/sms.py:12 in send",
        "x-tidings-first-failed-at": FIRST.isoformat(),
        "x-tidings-version": version(),
        "traceparent": TRACEPARENT,
    }


def test_a_retry_returns_after_its_time_to_its_own_queue_alone_and_a_dead_letter_stays(
    vhost: str, broker_api: BrokerApi
) -> None:
    async def publish() -> None:
        publisher = Publisher(vhost, name="test", deadline=10)
        await publisher.declare(CONSUMERS)
        await publisher.publish(retry_message(delivered(), consumer="welcome-email", delay=5, attempt=1, error=""))
        await publisher.publish(dead_message(delivered(), Park("not-json", ""), consumer="welcome-email", attempt=1))
        await publisher.close()

    asyncio.run(publish())
    assert broker_api.messages(vhost, "welcome-email") == 0
    until(lambda: broker_api.messages(vhost, "welcome-email") == 1, seconds=20, what="the return")
    [(properties, _)] = broker_api.take(vhost, "welcome-email")
    assert properties.headers["x-attempt"] == 2
    assert [broker_api.messages(vhost, queue) for queue in ("activity-log", "dead-letters", "retry.5s")] == [0, 1, 0]
