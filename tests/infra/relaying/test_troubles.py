"""What stops other programs does not stop the relay: it says what is wrong and goes on."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, text, update

from infra.database.engine import Database, connect
from infra.database.outbox import Due
from infra.database.tables import Lease, table
from infra.relaying import relay
from tests.brokers import BrokerApi
from tests.relays import CONSUMER, add, await_logged, logged, record, registered, running
from tests.waiting import until


@pytest.fixture(autouse=True)
def recorded(database: Database) -> None:
    """One consumer, which has never been declared on the broker."""
    record(database, "user.registered")


@pytest.fixture
def other_process(database_url: str, database: Database) -> Iterator[Database]:
    """The same database, as another process has it."""
    connected = connect(database_url)
    yield connected
    connected.close()


def test_a_lease_whose_row_is_deleted_costs_no_event_and_no_gap(database: Database, vhost: str) -> None:
    with running(database, vhost):
        for count in (1, 2, 3):
            add(database, [registered()])
            await_logged(database, count)
            with database.transaction() as session:
                session.connection().execute(delete(table(Lease)))
    assert [row.position for row in logged(database)] == [1, 2, 3]


def test_an_event_that_is_in_the_log_already_leaves_the_outbox_and_stops_nobody(database: Database, vhost: str) -> None:
    again, rest = registered(), [registered() for _ in range(10)]
    with running(database, vhost) as run:
        add(database, [again])
        await_logged(database, 1)
        add(database, [again, *rest])
        rows = await_logged(database, 11)
        until(lambda: run.relay.problem is None, what="the end of the problem")
    assert [(row.position, row.event_id) for row in rows] == list(enumerate([each.id for each in (again, *rest)], 1))


def test_an_error_that_nobody_thought_of_is_told_and_the_relay_goes_on(database: Database, vhost: str) -> None:
    def stumble(_: Sequence[Due]) -> None:
        raise RuntimeError("ada@example.com")

    with running(database, vhost) as run:
        run.relay.on_published = stumble
        told = "An unexpected RuntimeError at infra.relaying.relay:"
        add(database, [registered()])
        problem = until(lambda: run.relay.problem, what="the problem") or ""
        assert problem.startswith(told)
        assert "ada@" not in problem
        run.relay.on_published = lambda _: None
        add(database, [registered()])
        await_logged(database, 2)
        until(lambda: run.relay.problem is None, what="the end of the problem")


def test_a_lease_that_cannot_be_asked_for_is_told_and_asked_for_again(database: Database, vhost: str) -> None:
    _rename(database, "lease", "lost")
    with running(database, vhost) as run:
        add(database, [registered()])
        until(lambda: "Error at infra.database" in (run.relay.problem or ""), what="the problem")
        _rename(database, "lost", "lease")
        await_logged(database, 1)
        until(lambda: run.relay.problem is None, what="the end of the problem")


def test_a_queue_with_other_arguments_is_told_and_used_and_the_others_are_declared(
    database: Database, vhost: str, broker_api: BrokerApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "CONFLICT_POLL", 0.1)
    monkeypatch.setattr(relay, "POLL", 0.2)
    record(database, "#", name="activity-log")
    with broker_api.channel(vhost) as channel:
        channel.queue_declare(CONSUMER, durable=True)
    with running(database, vhost) as run:
        add(database, [registered()])
        await_logged(database, 1)
        assert f"The queue {CONSUMER!r} exists on the broker with other arguments" in (run.relay.problem or "")
        assert [broker_api.messages(vhost, queue) for queue in (CONSUMER, "activity-log")] == [1, 1]
        broker_api.delete_queue(vhost, CONSUMER)
        add(database, [registered()])
        until(lambda: run.relay.problem is None, what="the end of the problem")


@pytest.mark.usefixtures("without_polls")
def test_what_is_added_where_the_loss_of_the_lease_is_not_seen_yet_is_published_soon(
    database: Database, other_process: Database, vhost: str
) -> None:
    with running(database, vhost, "first") as first:
        until(lambda: first.relay.state == "active", what="the relay's start")
        with running(other_process, vhost, "second") as second:
            steal = update(table(Lease)).values(holder="second", expires_at=datetime.now(UTC) + timedelta(seconds=3))
            with database.transaction() as session:
                session.connection().execute(steal)
            until(lambda: second.relay.state == "active", what="the relay's start")
            for count in (1, 2):
                add(database, [registered()])
                await_logged(database, count)


def _rename(database: Database, before: str, after: str) -> None:
    with database.transaction() as session:
        session.connection().execute(text(f"ALTER TABLE {before} RENAME TO {after}"))
