"""Resends: replays, and what the sweep finds, go through the relay to one queue alone."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from pika import BasicProperties

from events.envelope import MAX_BYTES, Envelope, encode
from infra.database import replays, resends
from infra.database.engine import Database
from infra.database.resends import Addressed
from infra.relaying.holds import Holds
from tests.brokers import BrokerApi
from tests.letters import CONSUMER, found, keep, letter, resent
from tests.relays import add, await_logged, record, registered, running
from tests.waiting import until

OTHER = "activity-log"


@pytest.fixture(autouse=True)
def recorded(database: Database) -> None:
    """Two consumers of the same events."""
    record(database, "user.registered")
    record(database, "#", name=OTHER)


@pytest.fixture
def quick() -> Holds:
    """Holds that a test need not wait long for."""
    return Holds(first=0.02, longest=0.1)


def begin(database: Database, *letter_ids: str) -> None:
    with database.transaction() as session:
        assert len(letter_ids) == replays.begin(session, letter_ids)


def sweep(database: Database, envelopes: Sequence[Envelope], consumer: str = CONSUMER) -> None:
    """Add resends as the sweep does."""
    with database.transaction() as session:
        resends.add(session, [Addressed(consumer, encode(each), each.id, each.type) for each in envelopes])


def await_sent(database: Database) -> None:
    until(lambda: not resent(database), seconds=20, what="the sending of all that waits")


def ours(properties: BasicProperties) -> dict[str, Any]:
    """The headers without the broker's own."""
    return {name: value for name, value in properties.headers.items() if name != "x-delivery-count"}


def test_a_replay_reaches_its_consumers_queue_alone_with_fresh_headers(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    envelope = registered()
    (letter_id,) = keep(database, letter(envelope))
    with running(database, vhost):
        begin(database, letter_id)
        await_sent(database)
    assert 0 == broker_api.messages(vhost, OTHER)
    ((properties, body),) = broker_api.take(vhost, CONSUMER)
    assert {"x-attempt": 1, "x-replay": True, "x-tidings-dead-letter": letter_id} == ours(properties)
    assert (encode(envelope), envelope.id, envelope.type, "/test", envelope.correlation_id, 2) == (
        body,
        properties.message_id,
        properties.type,
        properties.app_id,
        properties.correlation_id,
        properties.delivery_mode,
    )


def test_what_the_sweep_sends_is_no_replay_and_arrives_in_order(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    envelopes = [registered() for _ in range(450)]
    sweep(database, envelopes)
    with running(database, vhost):
        await_sent(database)
    taken = broker_api.take(vhost, CONSUMER)
    assert [each.id for each in envelopes] == [properties.message_id for properties, _ in taken]
    assert [{"x-attempt": 1}] * 450 == [ours(properties) for properties, _ in taken]


@pytest.mark.usefixtures("without_polls")
def test_resends_go_out_at_once_and_while_the_outbox_is_busy_too(database: Database, vhost: str) -> None:
    with running(database, vhost) as run:
        until(lambda: run.relay.state == "active", what="the relay's start")
        sweep(database, [registered()])
        until(lambda: not resent(database), what="the sending")
        add(database, [registered() for _ in range(1000)])
        sweep(database, [registered()])
        await_sent(database)
        await_logged(database, 1000)


def test_a_queue_that_was_deleted_is_declared_again_and_then_takes_its_resends(
    database: Database, vhost: str, broker_api: BrokerApi, quick: Holds
) -> None:
    with running(database, vhost, holds=quick) as run:
        until(lambda: run.relay.state == "active", what="the relay's start")
        broker_api.delete_queue(vhost, CONSUMER)
        sweep(database, [registered(), registered()])
        await_sent(database)
    assert 2 == broker_api.messages(vhost, CONSUMER)


def test_a_queue_that_is_not_there_keeps_nobody_waiting_and_is_told(
    database: Database, vhost: str, broker_api: BrokerApi, quick: Holds
) -> None:
    gone = [registered() for _ in range(250)]
    sweep(database, gone, "gone")
    sweep(database, [registered()])
    with running(database, vhost, holds=quick) as run:
        until(lambda: broker_api.has_queue(vhost, CONSUMER), what="the declaring")
        until(lambda: broker_api.messages(vhost, CONSUMER) == 1, seconds=30, what="the other consumer's message")
        until(lambda: "No queue takes" in (run.relay.problem or ""), what="the problem")
        ids = [each.id for each in gone]
        until(lambda: ids == [row.event_id for row in resent(database)], what="the removal of what was sent")
        record(database, "nothing", name="gone")
        await_sent(database)
        until(lambda: run.relay.problem is None, what="the end of the problem")


def test_a_replay_that_amqp_does_not_take_waits_again_and_the_others_go_on(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    big = letter(registered(), body=b"x" * (MAX_BYTES + 1), key=f"{CONSUMER}#big", reason="too-large")
    ids = keep(database, big, letter(registered()))
    with running(database, vhost):
        begin(database, *ids)
        await_sent(database)
        row = found(database, ids[0])
        assert ("waiting", True) == (row.state, "262144 are allowed" in row.error)
        assert "replaying" == found(database, ids[1]).state
        until(lambda: broker_api.messages(vhost, CONSUMER) == 1, what="the other letter's message")


def test_bytes_that_are_no_event_are_sent_as_they_are(database: Database, vhost: str, broker_api: BrokerApi) -> None:
    hostile = {"id": "x", "type": "t" * 400, "source": ["a"], "traceparent": {"a": 1}, "correlationid": 3}
    bodies = [b"\xff\x00", json.dumps(hostile).encode(), b""]
    ids = keep(
        database,
        *(
            letter(registered(), key=f"{CONSUMER}#{n}", reason="not-json", type="t" * 400, body=body)
            for n, body in enumerate(bodies)
        ),
    )
    with running(database, vhost):
        begin(database, *ids)
        await_sent(database)
    taken = broker_api.take(vhost, CONSUMER)
    assert sorted(bodies) == sorted(body for _, body in taken)
    assert set(ids) == {properties.headers["x-tidings-dead-letter"] for properties, _ in taken}


def test_a_connection_that_is_lost_under_way_costs_no_resend(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    envelopes = [registered() for _ in range(600)]
    with running(database, vhost):
        for place in range(0, 600, 60):
            sweep(database, envelopes[place : place + 60])
            if place == 300:
                broker_api.close_connections(vhost)
        await_sent(database)
    assert {each.id for each in envelopes} == {
        properties.message_id for properties, _ in broker_api.take(vhost, CONSUMER)
    }
