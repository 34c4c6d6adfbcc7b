"""The relay: from the outbox to the broker and into the event log, with one relay active per database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text, update

from infra.database import event_log, leases, outbox
from infra.database.engine import Database, connect
from infra.database.tables import Lease, Outbox, table
from infra.relaying import relay, tenure
from infra.relaying.holds import Holds
from infra.relaying.relay import LEASE, LEASE_SECONDS, SET_ASIDE_AFTER
from tests.brokers import BrokerApi
from tests.relays import CONSUMER, add, await_logged, heartbeat, logged, record, registered, running
from tests.waiting import until


@pytest.fixture(autouse=True)
def recorded(database: Database) -> None:
    """One consumer, which has never been declared on the broker."""
    record(database, "user.registered")


@pytest.fixture
def quick() -> Holds:
    """Holds that a test need not wait long for."""
    return Holds(first=0.02, longest=0.1)


@pytest.fixture
def other_process(database_url: str, database: Database) -> Iterator[Database]:
    """The same database, as another process has it."""
    connected = connect(database_url)
    yield connected
    connected.close()


def test_accepted_events_are_in_the_queue_and_in_the_log_in_order_without_a_gap(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    sent = [registered() for _ in range(250)]
    add(database, sent[:100])
    with running(database, vhost):
        add(database, sent[100:])
        rows = await_logged(database, 250)
    ids = [envelope.id for envelope in sent]
    assert [(row.position, row.event_id) for row in rows] == list(enumerate(ids, 1))
    assert sorted(properties.message_id for properties, _ in broker_api.take(vhost, CONSUMER)) == sorted(ids)
    with database.reading() as session:
        assert outbox.due(session, 10) == []


def test_the_events_of_one_subject_arrive_in_the_order_of_their_commits(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    user = uuid4()
    sent = [registered(user) for _ in range(30)]
    add(database, sent)
    with running(database, vhost):
        await_logged(database, 30)
    arrived = [properties.message_id for properties, _ in broker_api.take(vhost, CONSUMER)]
    assert arrived == [envelope.id for envelope in sent]


@pytest.mark.usefixtures("without_polls")
def test_what_another_process_adds_is_published_soon(database: Database, other_process: Database, vhost: str) -> None:
    with running(database, vhost):
        for count in range(1, 4):  # the first may be found by the look at the start
            add(other_process, [registered()])
            await_logged(database, count)


@pytest.mark.usefixtures("without_polls")
def test_what_the_process_of_a_stand_by_adds_is_published_soon(
    database: Database, other_process: Database, vhost: str
) -> None:
    with running(database, vhost, "active") as active:
        until(lambda: active.relay.state == "active", what="the relay's start")
        with running(other_process, vhost, "stand-by") as stand_by:
            for count in range(1, 4):  # the first may be found by the look at the start
                add(other_process, [registered()])
                await_logged(database, count)
            assert stand_by.relay.state == "standby"


def test_a_queue_that_was_deleted_is_declared_before_anything_is_published(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    with running(database, vhost):
        add(database, [registered()])
        await_logged(database, 1)
    broker_api.delete_queue(vhost, CONSUMER)
    add(database, [registered()])
    with running(database, vhost):
        await_logged(database, 2)
    assert broker_api.messages(vhost, CONSUMER) == 1


def test_a_queue_that_is_deleted_under_way_is_declared_again_and_the_event_waits_for_it(
    database: Database, vhost: str, broker_api: BrokerApi, quick: Holds
) -> None:
    with running(database, vhost, holds=quick):
        add(database, [registered()])
        await_logged(database, 1)
        broker_api.delete_queue(vhost, CONSUMER)
        add(database, [registered()])
        await_logged(database, 2)
    assert broker_api.messages(vhost, CONSUMER) == 1


def test_an_event_for_later_waits_until_then(database: Database, vhost: str) -> None:
    at = datetime.now(UTC) + timedelta(seconds=1.5)
    with running(database, vhost):
        add(database, [registered()], at)
        [row] = await_logged(database, 1)
    assert at <= row.published_at


def test_an_event_that_no_queue_takes_stays_and_is_told_and_the_others_go_on(
    database: Database, vhost: str, quick: Holds
) -> None:
    lonely = [heartbeat(datetime.now(UTC)) for _ in range(300)]
    add(database, lonely)
    with running(database, vhost, holds=quick) as run:
        add(database, [registered() for _ in range(10)])
        await_logged(database, 10)
        until(lambda: "No queue takes" in (run.relay.problem or ""), what="the problem")
        with database.reading() as session:
            waiting = outbox.due(session, 1000)
        assert [row.event_id for row in waiting] == [envelope.id for envelope in lonely]
        assert {row.attempts for row in waiting} == {0}
        record(database, "#", name="activity-log")
        await_logged(database, 310)
        until(lambda: run.relay.problem is None, what="the end of the problem")


def test_a_row_that_is_at_fault_is_set_aside_after_ten_tries_and_stops_nobody(
    database: Database, vhost: str, quick: Holds
) -> None:
    poison, rest = registered(), [registered() for _ in range(20)]
    add(database, [poison, *rest])
    spoil = update(table(Outbox)).where(table(Outbox).c.event_id == poison.id).values(body="not an event")
    with database.transaction() as session:
        session.connection().execute(spoil)
    with running(database, vhost, holds=quick) as run:
        assert [row.event_id for row in await_logged(database, 20)] == [envelope.id for envelope in rest]
        until(lambda: _found(database, poison.id).set_aside, what="the setting aside")
        until(lambda: run.relay.problem is None, what="the end of the problem")
    row = _found(database, poison.id)
    assert (row.attempts, row.error) == (SET_ASIDE_AFTER, f"The event {poison.id} cannot be read (JSONDecodeError).")


def test_while_the_broker_is_away_events_wait_and_none_is_blamed(database: Database, vhost: str) -> None:
    nowhere = "amqp://someone:secret@127.0.0.1:1/x"
    sent = registered()
    with running(database, nowhere) as run:
        add(database, [sent])
        until(lambda: run.relay.problem is not None, what="the problem")
        assert run.relay.state == "waiting for the broker"
        assert "RabbitMQ cannot be reached" in (run.relay.problem or "")
    assert _found(database, sent.id).attempts == 0
    with running(database, vhost):
        await_logged(database, 1)


def test_a_connection_that_is_lost_under_way_costs_no_event(
    database: Database, vhost: str, broker_api: BrokerApi
) -> None:
    sent = [registered() for _ in range(600)]
    with running(database, vhost) as run:
        for place in range(0, 600, 30):
            add(database, sent[place : place + 30])
            if place == 300:
                broker_api.close_connections(vhost)
        await_logged(database, 600)
        assert run.relay.state == "active"
    arrived = {properties.message_id for properties, _ in broker_api.take(vhost, CONSUMER)}
    assert {envelope.id for envelope in sent} == arrived
    assert [row.position for row in logged(database)] == list(range(1, 601))


def test_of_two_relays_one_is_active_and_the_other_follows_at_once_when_it_stops(
    database: Database, other_process: Database, vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "LEASE_SECONDS", 50.0)  # the end of the lease is not what it waits for
    with running(database, vhost, "first") as first:
        until(lambda: first.relay.state == "active", what="the first relay's start")
        with running(other_process, vhost, "second") as second:
            add(database, [registered() for _ in range(10)])
            await_logged(database, 10)
            assert (first.relay.state, second.relay.state) == ("active", "standby")
            assert second.relay.problem is None
            first.stop()
            add(database, [registered() for _ in range(10)])
            rows = await_logged(database, 20, seconds=30)
            assert second.relay.state == "active"
    assert [row.position for row in rows] == list(range(1, 21))


def test_a_relay_that_is_gone_without_a_word_is_replaced_within_five_seconds(database: Database, vhost: str) -> None:
    with database.transaction() as session:
        assert leases.acquire(session, LEASE, "a relay that was killed", LEASE_SECONDS)
    add(database, [registered()])
    with running(database, vhost):
        await_logged(database, 1)
    assert LEASE_SECONDS + tenure.EVERY < 5  # all that it waits for; the rest is the machine's


def test_a_relay_that_lost_its_lease_writes_nothing_and_stands_by(database: Database, vhost: str) -> None:
    lease = table(Lease)
    steal = update(lease).values(holder="another", expires_at=datetime.now(UTC) + timedelta(seconds=3))
    with running(database, vhost) as run:
        add(database, [registered()])
        await_logged(database, 1)
        with database.transaction() as session:
            session.connection().execute(steal)
            outbox.add(session, registered())
        until(lambda: run.relay.state == "standby", what="the standing by")
        with database.reading() as session:
            assert event_log.last_position(session) == 1
        assert [row.position for row in await_logged(database, 2)] == [1, 2]


def test_the_relay_outlives_a_database_that_drops_its_connections(
    database: Database, other_process: Database, vhost: str
) -> None:
    with running(database, vhost) as run:
        until(lambda: run.relay.state == "active", what="the relay's start")
        if not database.is_sqlite:
            end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            with other_process.reading() as session:
                session.connection().execute(text(f"{end} and pid <> pg_backend_pid()"))
        add(other_process, [registered() for _ in range(5)])
        await_logged(other_process, 5)


def test_what_was_published_is_told_in_order(database: Database, vhost: str) -> None:
    told: list[str] = []
    sent = [registered() for _ in range(20)]
    with running(database, vhost) as run:
        run.relay.on_published = lambda rows: told.extend(row.event_id for row in rows)
        add(database, sent)
        until(lambda: len(told) == 20, what="the telling")
    assert told == [envelope.id for envelope in sent]


def _found(database: Database, event_id: str) -> Outbox:
    with database.reading() as session:
        row = outbox.find(session, event_id)
    assert row is not None
    return row
