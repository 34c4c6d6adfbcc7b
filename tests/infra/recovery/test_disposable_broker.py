"""The broker is disposable: whatever it loses costs a delay and no event, and no event takes effect twice."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from dramatiq import Worker
from sqlalchemy import insert, select

from events.envelope import Envelope
from events.users import UserRegistered
from infra.database import emptied, positions
from infra.database.engine import Database, connect
from infra.database.tables import Activity, Inbox, table
from infra.delivery import Deliveries
from infra.rabbitmq.blocking import BlockingPublisher
from infra.rabbitmq.broker import TidingsBroker
from infra.rabbitmq.topology import DEAD_LETTERS
from infra.recovery import composing, queues, sweeper
from infra.recovery.duties import Duties
from infra.relaying import emptying
from infra.retrying import Retry
from infra.subscriptions import Context, Subscription
from tests.brokers import BrokerApi
from tests.infra.recovery.conftest import write_letter
from tests.relays import CONSUMER, add, announced, await_logged, record, running
from tests.waiting import until

_INBOX, _ACTIVITY = table(Inbox), table(Activity)
FINE, LATE, LOST = "Fine", "Late", "Lost"


@dataclass
class Handler:
    """Fails at the first try of those whose name says so, and writes a line for each that it handles."""

    failed: set[str] = field(default_factory=set)

    def __call__(self, event: UserRegistered, context: Context) -> None:
        errors = {LATE: ConnectionError("not now"), LOST: PermissionError("never")}
        if event.name in errors and context.event_id not in self.failed:
            self.failed.add(context.event_id)
            raise errors[event.name]
        line = {"event_id": str(uuid4()), "type": context.event_id, "time": context.time}
        context.session.connection().execute(insert(_ACTIVITY).values(line))


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """The rules on the data run on both kinds of database elsewhere; here the broker is what matters."""
    connected = connect(sqlite_url)
    record(connected, "user.registered")
    yield connected
    connected.close()


@contextlib.contextmanager
def consuming(database: Database, url: str, handler: Handler, *, grace: float = 60.0) -> Iterator[None]:
    """Meanwhile a consumers program with one consumer works, and sweeps."""
    retry = Retry(Retry.on(ConnectionError, delays=(120,)), Retry.never(PermissionError))
    subscription = Subscription(CONSUMER, ("user.registered",), handler, retry=retry, timeout=1.0)
    publisher = BlockingPublisher(url, name="test")

    def declare() -> None:
        publisher.declare([(CONSUMER, subscription.types, "Test")])
        emptying.write_down_now(database, publisher.made)

    broker = TidingsBroker(url, publish=publisher.publish, redeclare=declare, grace=1.0)
    broker.attach(subscription, Deliveries(database, {}, is_stopping=lambda: broker.is_stopping).handler(subscription))
    broker.accompany(Duties(database, composing.duties(database, publisher, [subscription], grace=grace), "me"))
    worker = Worker(broker, worker_threads=broker.threads, worker_timeout=100)
    worker.start()
    try:
        yield
    finally:
        worker.stop(timeout=20_000)
        broker.close()
        publisher.close()


def users(name: str, count: int) -> list[Envelope]:
    return [announced(UserRegistered(user_id=uuid4(), name=name, email="a@example.com")) for _ in range(count)]


def states(database: Database) -> Counter[str]:
    with database.reading() as session:
        return Counter(session.connection().execute(select(_INBOX.c.state)).scalars())


def effects(database: Database) -> list[str]:
    """The event of each line that a handler wrote."""
    with database.reading() as session:
        return sorted(session.connection().execute(select(_ACTIVITY.c.type)).scalars())


def ids(*many: Sequence[Envelope]) -> list[str]:
    return sorted(envelope.id for envelopes in many for envelope in envelopes)


def resent(database: Database) -> int:
    with database.reading() as session:
        return positions.standing(session)[CONSUMER].resent


def test_a_broker_that_comes_back_empty_costs_a_delay_and_no_event(
    database: Database, vhost: str, broker_api: BrokerApi, handler: Handler
) -> None:
    handled, tiered, dead, kept, queued = (
        users(FINE, 10), users(LATE, 5), users(LOST, 5), users(LOST, 5), users(FINE, 50)
    )  # fmt: skip
    with running(database, vhost):
        with consuming(database, vhost, handler):
            add(database, [*handled, *tiered, *dead, *kept])
            until(lambda: states(database) == {"handled": 10, "retrying": 5, "dead": 10}, what="the first tries")
            until(lambda: broker_api.messages(vhost, DEAD_LETTERS) == 10, what="the dead letters")
            until(lambda: broker_api.messages(vhost, "retry.2m") == 5, what="the retries")
        _keep(database, kept)
        add(database, queued)
        await_logged(database, 75)
        broker_api.empty(vhost)
        back = time.monotonic()
        with consuming(database, vhost, handler):
            until(lambda: states(database) == {"handled": 70, "dead": 5}, seconds=30, what="the rest")
            took = time.monotonic() - back
            until(lambda: broker_api.messages(vhost, CONSUMER) == 0, what="an empty queue")
    assert ids(handled, tiered, dead, queued) == effects(database)
    assert 60 <= resent(database)
    assert took < 30


def test_a_queue_that_is_deleted_under_way_costs_no_event(
    database: Database, vhost: str, broker_api: BrokerApi, handler: Handler
) -> None:
    sent = users(FINE, 600)
    broker_api.settle()
    with running(database, vhost), consuming(database, vhost, handler):
        for place in range(0, 600, 30):
            add(database, sent[place : place + 30])
            if place == 150:
                until(lambda: len(effects(database)) > 100, what="the first ones")
                broker_api.delete_queue(vhost, CONSUMER)
        until(lambda: states(database) == {"handled": 600}, seconds=30, what="all of them")
    assert ids(sent) == effects(database)


def test_what_slips_by_a_deleted_binding_is_found_and_the_binding_is_made_again(
    database: Database, vhost: str, broker_api: BrokerApi, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another consumer takes these events too, or the relay would have kept them as unroutable."""
    monkeypatch.setattr(sweeper, "PAUSE", 0.1)
    monkeypatch.setattr(queues, "LOOK_EVERY", 0.5)
    record(database, "#", name="activity-log")
    broker_api.settle()
    before, slipped, after = users(FINE, 5), users(FINE, 5), users(FINE, 5)
    with running(database, vhost):
        add(database, before)
        await_logged(database, 5)
        with broker_api.channel(vhost) as channel:
            channel.queue_unbind(CONSUMER, "events", "user.registered")
        add(database, slipped)
        await_logged(database, 10)
        assert 5 == broker_api.messages(vhost, CONSUMER)
        with consuming(database, vhost, handler, grace=1.5):
            bound = ("events", "user.registered", CONSUMER)
            until(lambda: bound in broker_api.bindings(vhost), what="the binding")
            add(database, after)
            until(lambda: ids(before, slipped, after) == effects(database), seconds=20, what="all of them")
    assert 5 <= resent(database)


def test_the_first_queues_of_all_are_no_loss(database: Database, vhost: str, handler: Handler) -> None:
    sent = users(FINE, 20)
    publisher = BlockingPublisher(vhost, name="declare")
    publisher.declare([(CONSUMER, ["user.registered"], "Test")])
    emptying.write_down_now(database, publisher.made)
    publisher.close()
    with running(database, vhost), consuming(database, vhost, handler):
        add(database, sent)
        until(lambda: ids(sent) == effects(database), what="all of them")
    with database.reading() as session:
        assert {} == emptied.times(session)
    assert 0 == resent(database)


def _keep(database: Database, envelopes: Sequence[Envelope]) -> None:
    with database.transaction() as session:
        for envelope in envelopes:
            write_letter(session, envelope.id, CONSUMER)
