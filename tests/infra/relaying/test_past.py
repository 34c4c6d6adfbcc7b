"""Backfills: the relay sends slices of the log to one queue, and joins them with what comes by the binding."""

from collections.abc import Iterator, Sequence

import pytest

from events.envelope import Envelope
from infra import faults
from infra.database.engine import Database
from infra.recovery import replaying, resuming
from infra.relaying import flow, past
from tests import pasts
from tests.brokers import BrokerApi
from tests.relays import add, await_logged, heartbeat, record, registered, running
from tests.waiting import until

SMS, OTHER = "sms", "activity-log"


@pytest.fixture
def disarmed() -> Iterator[None]:
    """No fault is armed afterwards."""
    yield
    faults.arm(None)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody handles anything in these tests, so the window must not close."""
    monkeypatch.setattr(flow, "FEWEST", 5_000)
    monkeypatch.setattr(flow, "MOST", 5_000)


def publish(database: Database, envelopes: Sequence[Envelope], logged: int | None = None) -> None:
    add(database, envelopes)
    await_logged(database, logged or len(envelopes))


def taken(api: BrokerApi, vhost: str, queue: str = SMS) -> list[str]:
    return [properties.message_id for properties, _ in api.take(vhost, queue)]


def ids(envelopes: Sequence[Envelope]) -> list[str]:
    return [each.id for each in envelopes]


def test_a_new_consumer_is_sent_what_the_log_holds_for_it_in_order_and_alone(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    record(database, "#", name=OTHER)
    envelopes = [registered() for _ in range(250)]
    with running(database, vhost):
        publish(database, [*envelopes, heartbeat(pasts.LONG_AGO)])
        broker_api.take(vhost, OTHER)
        record(database, "user.registered", name=SMS)
        operation = pasts.begin(database, SMS)
        pasts.await_sent(database, operation, 250)
    assert 0 == broker_api.messages(vhost, OTHER)
    messages = broker_api.take(vhost, SMS)
    assert ids(envelopes) == [properties.message_id for properties, _ in messages]
    assert {"x-attempt", "x-backfill"} == set(messages[0][0].headers) - {"x-delivery-count"}
    assert ids(envelopes) == pasts.watched(database, SMS)
    assert (250, 251) == (pasts.look(database, operation).total, pasts.place(database, operation).sent)


def test_what_is_settled_is_left_out_and_so_are_other_types(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    record(database, "#", name=OTHER)
    envelopes = [registered() for _ in range(300)]
    with running(database, vhost):
        publish(database, [*envelopes, heartbeat(pasts.LONG_AGO)])
        record(database, "#", name=SMS)
        pasts.settle(database, envelopes[:290], SMS)
        operation = pasts.begin(database, SMS, types=("user.registered",))
        pasts.await_sent(database, operation, 10)
    assert ids(envelopes[290:]) == taken(broker_api, vhost)


def test_what_is_published_before_the_queue_is_bound_is_part_of_it_and_nothing_is_missing_after(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    record(database, "#", name=OTHER)
    before, between, after = ([registered() for _ in range(60)] for _ in range(3))
    with running(database, vhost):
        publish(database, before)
        record(database, "user.registered", name=SMS)
        publish(database, between, 120)  # the relay has not heard of the new consumer
        assert not broker_api.has_queue(vhost, SMS)
        operation = pasts.begin(database, SMS)
        add(database, after)
        pasts.await_sent(database, operation, 120)
        await_logged(database, 180)
    assert set(ids([*before, *between, *after])) == set(taken(broker_api, vhost))
    assert pasts.look(database, operation).total >= 120


def test_a_slice_that_was_confirmed_and_not_written_down_is_sent_once_more_and_no_other(
    database: Database, vhost: str, broker_api: BrokerApi, disarmed: None
) -> None:
    record(database, "#", name=OTHER)
    envelopes = [registered() for _ in range(past.SLICE * 3)]
    with running(database, vhost):
        publish(database, envelopes)
        record(database, "user.registered", name=SMS)
        faults.arm("backfill.after-confirm:2:raise")
        pasts.await_sent(database, pasts.begin(database, SMS), len(envelopes))
    sent, second = taken(broker_api, vhost), ids(envelopes)[past.SLICE : 2 * past.SLICE]
    assert [*ids(envelopes)[: 2 * past.SLICE], *second, *ids(envelopes)[2 * past.SLICE :]] == sent


def test_one_that_is_stopped_sends_nothing_more_and_goes_on_at_its_place(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    record(database, "#", name=OTHER)
    envelopes = [registered() for _ in range(300)]
    with running(database, vhost):
        publish(database, envelopes)
        record(database, "user.registered", name=SMS)
        operation = pasts.begin(database, SMS, rate=100)
        pasts.await_sent(database, operation, 10)
        with database.transaction() as session:
            replaying.stop(session, operation, **pasts.ME)
        until(lambda: pasts.stopped(database, operation), what="the stop")
        sent = pasts.look(database, operation).sent
        assert sent < 300
        with database.transaction() as session:
            resuming.resume(session, operation, **pasts.ME)
        pasts.await_sent(database, operation, 300)
    assert ids(envelopes) == taken(broker_api, vhost)


def test_a_rate_is_kept(database: Database, vhost: str) -> None:
    record(database, "#", name=OTHER)
    with running(database, vhost):
        publish(database, [registered() for _ in range(100)])
        record(database, "user.registered", name=SMS)
        began = pasts.ago(0)
        pasts.await_sent(database, pasts.begin(database, SMS, rate=50), 100)
        assert 1.5 <= (pasts.ago(0) - began).total_seconds()


def test_a_window_that_is_full_waits_until_the_consumer_has_ended_some(
    database: Database, vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "FEWEST", 30)
    monkeypatch.setattr(flow, "MOST", 30)
    record(database, "#", name=OTHER)
    envelopes = [registered() for _ in range(100)]
    with running(database, vhost):
        publish(database, envelopes)
        record(database, "user.registered", name=SMS)
        operation = pasts.begin(database, SMS)
        pasts.await_sent(database, operation, 30)
        publish(database, [registered()], 101)  # the relay has been round meanwhile
        assert 30 == pasts.look(database, operation).sent
        pasts.settle(database, envelopes[:15], SMS)  # a look in between finds too little room for a slice
        pasts.await_sent(database, operation, 45)
        assert 45 == pasts.look(database, operation).sent


def test_a_queue_that_is_deleted_meanwhile_is_declared_again(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    record(database, "#", name=OTHER)
    envelopes = [registered() for _ in range(300)]
    with running(database, vhost):
        publish(database, envelopes)
        record(database, "user.registered", name=SMS)
        operation = pasts.begin(database, SMS, rate=150)
        pasts.await_sent(database, operation, 50)
        broker_api.delete_queue(vhost, SMS)
        pasts.await_sent(database, operation, 300)
    sent = taken(broker_api, vhost)
    assert ids(envelopes)[-len(sent) :] == sent


def test_a_connection_that_is_lost_under_way_loses_nothing(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    record(database, "#", name=OTHER)
    envelopes = [registered() for _ in range(600)]
    with running(database, vhost):
        publish(database, envelopes)
        record(database, "user.registered", name=SMS)
        operation = pasts.begin(database, SMS, rate=400)
        pasts.await_sent(database, operation, 200)
        broker_api.close_connections(vhost)
        pasts.await_sent(database, operation, 600)
    assert set(ids(envelopes)) == set(taken(broker_api, vhost))
