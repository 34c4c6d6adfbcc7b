"""The publisher: what it returns from is in a queue, and every other case is one error of its own."""

import asyncio
import contextlib
import gc
import json
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest

from events.envelope import MAX_BYTES, encode
from infra.errors import (
    BrokerUnavailable,
    ChannelRefused,
    MessageRefused,
    NotConfirmed,
    PublishRejected,
    Unroutable,
)
from infra.local.node import Node
from infra.rabbitmq import link, topology
from infra.rabbitmq.publisher import Message, Publisher, event_message
from tests.brokers import BrokerApi, frozen
from tests.envelopes import TRACEPARENT, ada

pytestmark = pytest.mark.anyio
DEADLINE = 1.0
#: Seconds that an error may come after the deadline on a busy machine.
GRACE = 10.0


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def publisher(vhost: str) -> AsyncIterator[Publisher]:
    made = Publisher(vhost, name="test", deadline=DEADLINE)
    with contextlib.suppress(BrokerUnavailable):  # slow to answer just after the node's start
        await made.declare([("log", ["user.registered"], "Test")])
    await made.declare([("log", ["user.registered"], "Test")])
    yield made
    await made.close()


def message(number: int = 0, *, kind: str = "user.registered", message_id: str | None = None) -> Message:
    event_id = message_id or str(uuid4())
    envelope = {"correlationid": event_id, "time": "2026-11-22T09:30:00Z", "source": "/test", "number": number}
    return event_message(event_id, kind, json.dumps(envelope).encode())


async def outcome(publish: Coroutine[object, object, object]) -> type[Exception] | None:
    try:
        await publish
    except Exception as error:  # noqa: BLE001  # the kind of error is what the tests ask for
        return type(error)
    return None


async def no_consumers() -> list[topology.Consumer]:
    return []


async def recovered(publisher: Publisher, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await publisher.publish(message())
        except BrokerUnavailable:
            assert time.monotonic() < deadline, "the publisher does not recover"
            await asyncio.sleep(0.05)


async def test_an_event_bears_what_an_operator_wants_to_see(
    publisher: Publisher, vhost: str, broker_api: BrokerApi
) -> None:
    envelope = ada()
    await publisher.publish(event_message(envelope.id, envelope.type, encode(envelope)))
    [(properties, body)] = broker_api.take(vhost, "log")
    assert body == encode(envelope)
    assert (properties.message_id, properties.correlation_id) == (envelope.id, envelope.correlation_id)
    assert (properties.type, properties.app_id) == ("user.registered", "/gateway")
    assert (properties.content_type, properties.delivery_mode) == ("application/cloudevents+json", 2)
    assert datetime.fromtimestamp(properties.timestamp, UTC) == envelope.time.replace(microsecond=0)
    ours = {name: value for name, value in properties.headers.items() if name != "x-delivery-count"}
    assert ours == {"traceparent": TRACEPARENT, "x-attempt": 1}


def test_bytes_that_are_no_event_are_refused_before_they_are_sent() -> None:
    for body in (b"", b"\xff", b"[]", b"{}", b'{"correlationid":"x","source":"/x","time":1}', b"[" * 100_000):
        with pytest.raises(MessageRefused):
            event_message("an-id", "user.registered", body)


async def test_publishes_started_in_order_arrive_in_order(
    publisher: Publisher, vhost: str, broker_api: BrokerApi
) -> None:
    publisher._deadline = 20.0  # the rule is the order; 300 confirms may take a busy broker more than a second
    await asyncio.gather(*(publisher.publish(message(number)) for number in range(300)))
    assert [json.loads(body)["number"] for _, body in broker_api.take(vhost, "log")] == list(range(300))


async def test_an_event_that_no_queue_takes_is_unroutable_and_the_others_of_its_batch_are_not(
    publisher: Publisher,
) -> None:
    kinds = ["user.registered", "user.forgotten"] * 20
    outcomes = await asyncio.gather(*(outcome(publisher.publish(message(kind=kind))) for kind in kinds))
    assert outcomes == [None, Unroutable] * 20


async def test_two_messages_with_one_id_do_not_take_each_other_s_answer(publisher: Publisher) -> None:
    twins = [message(kind=kind, message_id="same") for kind in ("user.registered", "user.forgotten")] * 10
    assert await asyncio.gather(*(outcome(publisher.publish(twin)) for twin in twins)) == [None, Unroutable] * 10


async def test_a_queue_that_is_full_rejects_and_the_connection_goes_on(publisher: Publisher, vhost: str) -> None:
    await fill(publisher, vhost)
    assert publisher.connected


async def test_what_is_published_later_after_a_rejection_goes_out_on_a_new_connection(
    publisher: Publisher, vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3.10 rejects on an old channel until its queue's dead leader is back, and on a new one nothing."""
    await fill(publisher, vhost)
    rejecting = publisher._link
    await publisher.publish(message())
    assert publisher._link is rejecting  # a full queue must not cost a connection for each message
    monkeypatch.setattr(link, "FRESH", 0.0)
    await asyncio.gather(*(publisher.publish(message()) for _ in range(20)))
    assert publisher._link is not rejecting


async def fill(publisher: Publisher, vhost: str) -> None:
    """Publish to a queue until it rejects."""
    async with await aio_pika.connect(vhost) as connection:
        full: topology.Arguments = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
        queue = await (await connection.channel()).declare_queue("full", durable=True, arguments=full)
        await queue.bind(topology.EVENTS, "user.counted")
    outcomes = [await outcome(publisher.publish(message(kind="user.counted"))) for _ in range(6)]
    assert outcomes[-1] is PublishRejected


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(publisher: Publisher) -> None:
    fits, too_large = (replace(message(), body=b"x" * size) for size in (MAX_BYTES, MAX_BYTES + 1))
    await publisher.publish(fits)
    with pytest.raises(MessageRefused, match="262145 bytes"):
        await publisher.publish(too_large)
    assert publisher.connected


async def test_what_amqp_cannot_carry_is_refused_and_the_next_one_goes_through(publisher: Publisher) -> None:
    with pytest.raises(MessageRefused):
        await publisher.publish(message(kind="x" * 256))
    await publisher.publish(message())


async def test_the_broker_s_refusal_is_blamed_on_a_message_only_if_it_was_alone(
    publisher: Publisher, broker_api: BrokerApi
) -> None:
    large = replace(message(), body=b"x" * 5000)
    with broker_api.message_limit(4000):
        await publisher.close()  # a channel knows the limit that held when it was opened
        assert await outcome(publisher.publish(large)) is MessageRefused
        await recovered(publisher)
        others = await asyncio.gather(*(outcome(publisher.publish(each)) for each in (large, message(), message())))
        assert others[0] is ChannelRefused


async def test_under_a_memory_alarm_a_publish_ends_at_its_deadline_and_later_ones_are_not_sent(
    publisher: Publisher, vhost: str, broker_api: BrokerApi
) -> None:
    with broker_api.memory_alarm():
        begun = time.monotonic()
        with pytest.raises(NotConfirmed):
            await publisher.publish(message())
        assert time.monotonic() - begun < DEADLINE + GRACE
        with pytest.raises(BrokerUnavailable, match="memory or disk alarm"):
            await publisher.publish(message())
    await recovered(publisher)
    assert broker_api.messages(vhost, "log") <= 2


async def test_a_broker_that_does_not_answer_costs_no_more_than_the_deadline(
    publisher: Publisher, rabbitmq: Node
) -> None:
    with frozen(rabbitmq):
        begun = time.monotonic()
        outcomes = await asyncio.gather(*(outcome(publisher.publish(message())) for _ in range(20)))
        assert outcomes == [NotConfirmed] * 20
        assert await outcome(publisher.publish(message())) is BrokerUnavailable
        assert time.monotonic() - begun < 2 * (DEADLINE + GRACE)
    await recovered(publisher)


async def test_a_dead_connection_is_no_cancellation(publisher: Publisher, rabbitmq: Node) -> None:
    """aiormq ends what is in flight with CancelledError when the heartbeats fail; no task of ours was cancelled."""
    with frozen(rabbitmq):
        pending = asyncio.create_task(outcome(publisher.publish(message())))
        await asyncio.sleep(0)
        assert publisher._link is not None
        transport = publisher._link._connection.transport
        assert transport is not None
        closing = asyncio.create_task(transport.connection.close(asyncio.CancelledError()))
        assert await pending in {BrokerUnavailable, NotConfirmed}
    await closing
    await recovered(publisher)


async def test_a_connection_that_dies_while_queues_are_declared_is_no_cancellation_either(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(topology, "declare", die)
    assert await outcome(publisher.inspect([])) is BrokerUnavailable
    await publisher.close()
    publisher.on_connect(no_consumers)
    assert await outcome(publisher.connect()) is BrokerUnavailable


async def test_a_closed_connection_is_replaced_by_the_next_publish(
    publisher: Publisher, vhost: str, broker_api: BrokerApi
) -> None:
    broker_api.close_connections(vhost)
    await recovered(publisher)
    assert broker_api.messages(vhost, "log") == 1


async def test_the_publisher_recovers_from_a_restart_of_the_broker(publisher: Publisher, rabbitmq: Node) -> None:
    await publisher.publish(message())
    await asyncio.to_thread(rabbitmq.stop)
    with pytest.raises(BrokerUnavailable):
        await publisher.publish(message())
    await asyncio.to_thread(rabbitmq.start, wait=True)
    await recovered(publisher)


async def test_queues_are_declared_on_each_new_connection_before_anything_is_published(
    publisher: Publisher, vhost: str, broker_api: BrokerApi
) -> None:
    async def consumers() -> list[topology.Consumer]:
        return [("late", ["user.late"], "")]

    publisher.on_connect(consumers)
    await publisher.publish(message(kind="user.late"))
    broker_api.delete_queue(vhost, "late")
    await publisher.close()
    await publisher.publish(message(kind="user.late"))
    assert broker_api.messages(vhost, "late") == 1


async def test_many_callers_share_one_attempt_to_connect() -> None:
    attempts = 0

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        publisher = Publisher(f"amqp://someone:secret@127.0.0.1:{port}/x", name="test", deadline=DEADLINE)
        outcomes = await asyncio.gather(*(outcome(publisher.publish(message())) for _ in range(50)))
        await publisher.close()
    assert (attempts, set(outcomes)) == (1, {BrokerUnavailable})


async def test_a_refused_login_is_one_plain_line_without_the_password(vhost: str) -> None:
    publisher = Publisher(vhost.replace("//", "//x", 1), name="test", deadline=5)
    with pytest.raises(BrokerUnavailable, match=r"^[^\n]*ACCESS_REFUSED[^\n]*$") as raised:
        await publisher.connect()
    assert str(urlsplit(vhost).password) not in str(raised.value)
    await publisher.close()


async def test_a_cancelled_publish_stays_cancelled(publisher: Publisher, rabbitmq: Node) -> None:
    with frozen(rabbitmq):
        pending = asyncio.create_task(publisher.publish(message()))
        await asyncio.sleep(0)
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
    await recovered(publisher)


def test_a_failed_attempt_leaves_nothing_for_the_garbage_collector_of_another_thread() -> None:
    """A connection that nobody closed closes itself when it is collected, in whichever loop that thread has."""
    publisher = Publisher("amqp://127.0.0.1:1", name="test", deadline=DEADLINE)
    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(outcome(publisher.connect())) is BrokerUnavailable
        unclosed = [each for each in gc.get_objects() if isinstance(each, aio_pika.Connection) and not each.is_closed]
        assert unclosed == []
    finally:
        loop.close()
