"""A consumer leaves: each event is handled, in a queue, or a dead letter at every moment, and then nothing is left."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from events.envelope import Event
from infra.database import consumers, dead_letters, operations, pauses, resends, retirements
from infra.database.consumer_tables import Waiting
from infra.database.dead_letters import Filter
from infra.database.engine import Database
from infra.database.recovery_tables import DeadLetter, Operation
from infra.database.resends import Addressed
from infra.database.tables import table
from infra.rabbitmq.blocking import BlockingPublisher
from infra.recovery import leftovers, replaying, retiring
from infra.recovery.duties import Duties
from infra.recovery.keeping import Keeper
from infra.recovery.retirement import Retirement
from infra.subscriptions import Context, Retry, Subscription
from tests import given_up, jobrows, relays
from tests.brokers import BrokerApi
from tests.consumption import consuming
from tests.eventlogs import event_id, fill
from tests.waiting import until

ME: dict[str, Any] = {"who": "ada", "why": "nobody reads them"}


@dataclass
class Town:
    """A consumer that leaves, one that stays, and the programs around them."""

    database: Database
    vhost: str
    api: BrokerApi
    fails: bool = False
    handled: Counter[str] = field(default_factory=Counter)

    @property
    def sms(self) -> Subscription:
        """Leaves."""
        types = ("user.registered",)
        return Subscription("sms", types, self._handle, retry=Retry(delays=(5,)), timeout=2, pause_after=None)

    def _handle(self, _: Event, context: Context) -> None:
        if self.fails:
            raise ConnectionError("no credit")
        self.handled[context.event_id] += 1

    def record(self) -> None:
        """Both are recorded."""
        with self.database.transaction() as session:
            consumers.declare(session, [self.sms, Subscription("log", ("user.registered",), self._handle)])

    def publish(self, number: int) -> list[str]:
        """Accept events, and wait until the relay has published them; gives their ids."""
        envelopes, before = [relays.registered() for _ in range(number)], len(relays.logged(self.database))
        relays.add(self.database, envelopes)
        relays.await_logged(self.database, before + number)
        return [each.id for each in envelopes]

    def retire(self, *, drain: bool) -> str:
        """Begin; gives the operation's id."""
        with self.database.transaction() as session:
            return retiring.start(session, "sms", drain=drain, **ME).id

    def operation(self, operation_id: str) -> Operation:
        with self.database.reading() as session:
            return replaying.find_operation(session, operation_id)

    def await_end(self, operation_id: str, seconds: float = 40) -> Operation:
        """Wait until it has ended."""
        until(lambda: self.operation(operation_id).finished_at, seconds=seconds, what="the end of the retirement")
        return self.operation(operation_id)

    def letters(self) -> dict[str | None, DeadLetter]:
        """By event."""
        with self.database.reading() as session:
            return {row.event_id: row for row in dead_letters.page(session, Filter(consumer="sms"), limit=1_000)}

    def names(self) -> list[str]:
        with self.database.reading() as session:
            return [row.consumer for row in consumers.everyone(session)]

    @contextlib.contextmanager
    def duty(self, holder: str = "one", noticed: timedelta = timedelta()) -> Iterator[None]:
        """Meanwhile a consumers program works retirements off, and keeps dead letters; there is no other to notice."""
        publisher = BlockingPublisher(self.vhost, name="test duty")
        retirement = Retirement(self.database, publisher, [], grace=5, noticed=noticed)
        duties = Duties(self.database, {"retirement": retirement}, holder)
        duties.start()
        try:
            yield
        finally:
            duties.stop()
            publisher.close()


@pytest.fixture
def town(database: Database, vhost: str, broker_api: BrokerApi) -> Town:
    made = Town(database, vhost, broker_api)
    made.record()
    return made


def test_what_is_left_goes_to_the_dead_letters_and_then_the_consumer_is_gone(town: Town) -> None:
    with (
        relays.running(town.database, town.vhost),
        consuming(town.vhost, town.database, [], {}, keeper=Keeper(town.database)),
    ):
        ids = town.publish(250)
        operation = town.retire(drain=False)
        with town.duty():
            ended = town.await_end(operation)
        later = town.publish(1)
    assert ("done", "sms is gone; 250 moved to the dead letters", 251, 251) == (
        ended.state, ended.message, ended.handled, ended.total,
    )  # fmt: skip
    assert dict.fromkeys(ids, "retired") == {each: letter.reason for each, letter in town.letters().items()}
    assert (["log"], False) == (town.names(), town.api.has_queue(town.vhost, "sms"))
    assert 251 == town.api.messages(town.vhost, "log")
    assert later[0] not in town.letters()


def test_workers_that_still_run_handle_what_is_left(town: Town) -> None:
    with relays.running(town.database, town.vhost):
        ids = town.publish(50)
        operation = town.retire(drain=True)
        with town.duty():
            until(lambda: "no worker takes them" in town.operation(operation).message, what="a word that nobody works")
            with consuming(town.vhost, town.database, [town.sms], {}) as at_work:
                at_work.broker.on_ended = None
                until(lambda: set(ids) <= set(town.handled), what="the handling")
            ended = town.await_end(operation)
    assert ("done", "sms is gone", {}) == (ended.state, ended.message, town.letters())
    assert (["log"], False) == (town.names(), town.api.has_queue(town.vhost, "sms"))


def test_what_returns_from_a_retry_tier_is_waited_for(town: Town) -> None:
    town.fails = True
    with relays.running(town.database, town.vhost):
        with consuming(town.vhost, town.database, [town.sms], {}):
            ids = town.publish(3)
            until(lambda: town.api.messages(town.vhost, "retry.5s") == 3, what="the failures")
        operation = town.retire(drain=False)
        with consuming(town.vhost, town.database, [], {}, keeper=Keeper(town.database)), town.duty():
            until(lambda: "waits for retries" in town.operation(operation).message, what="a word of the retries")
            assert "done" == town.await_end(operation).state
    assert dict.fromkeys(ids, ("retired", 2)) == {
        each: (letter.reason, letter.attempts) for each, letter in town.letters().items()
    }
    assert not town.api.has_queue(town.vhost, "sms")


def test_a_program_that_is_killed_on_the_way_loses_nothing(town: Town) -> None:
    """Its moves are undone by the broker, and the next one takes the duty over."""
    with (
        relays.running(town.database, town.vhost),
        consuming(town.vhost, town.database, [], {}, keeper=Keeper(town.database)),
    ):
        ids = town.publish(600)
        operation = town.retire(drain=False)
        with town.duty("killed"):
            until(lambda: town.operation(operation).sent > 0, what="the first moves")
            town.api.close_connections(town.vhost)
        with town.duty("next"):
            assert "done" == town.await_end(operation).state
    assert set(ids) == set(town.letters())


def test_an_operator_may_change_their_mind(town: Town) -> None:
    with relays.running(town.database, town.vhost):
        town.publish(1)
        operation = town.retire(drain=True)
        with town.duty():
            until(lambda: town.operation(operation).message != "begins", what="the first step")
            with town.database.transaction() as session:
                operations.ask_to_stop(session, operation)
            assert "stopped" == town.await_end(operation).state
    with town.database.reading() as session:
        assert {"log", "sms"} == {row.consumer for row in consumers.declared(session)}
        assert {} == pauses.paused(session)


def test_it_is_gone_no_sooner_than_every_program_has_noticed(town: Town) -> None:
    noticed = timedelta(seconds=2)
    operation = town.retire(drain=True)
    with town.database.reading() as session:
        row = retirements.find(session, "sms")
    assert row is not None
    assert row.retiring_since is not None
    with town.duty(noticed=noticed):
        until(lambda: "has noticed" in town.operation(operation).message, seconds=30, what="the wait for programs")
        ended = town.await_end(operation)
    assert ended.finished_at is not None
    assert noticed <= ended.finished_at - row.retiring_since


def test_a_declaration_does_not_bring_it_back_before_it_is_gone(database: Database) -> None:
    given_up.declare(database, "sms")
    with database.transaction() as session:
        retiring.start(session, "sms", drain=False, **ME)
    given_up.declare(database, "sms")
    with database.reading() as session:
        assert ([], ["sms"]) == (consumers.declared(session), [row.consumer for row in consumers.everyone(session)])
    with database.transaction() as session:
        retirements.remove(session, "sms")
    given_up.declare(database, "sms")
    with database.reading() as session:
        assert ["sms"] == [row.consumer for row in consumers.declared(session)]


def test_what_the_database_has_for_it_becomes_dead_letters(database: Database) -> None:
    """One waits for its turn, one is to be sent again, and one letter is on its way: that waits again."""
    given_up.declare(database, "sms")
    fill(database, 2)
    (letter,) = given_up.some(database, 1)
    with database.transaction() as session:
        replaying.replay_one(session, letter, **ME)
        values = {"consumer": "sms", "position": 1, "subject": "s", "event_id": event_id(1), "since": datetime.now(UTC)}
        session.connection().execute(insert(table(Waiting)).values(values))
        resends.add(session, [Addressed("sms", b"{}", event_id(2), "user.registered")])
        retiring.start(session, "sms", drain=False, **ME)
        assert 3 == retirements.count_elsewhere(session, "sms")
        assert 3 == leftovers.give_up_elsewhere(session, "sms")
        assert 0 == retirements.count_elsewhere(session, "sms")
        found = dead_letters.page(session, Filter(consumer="sms"), limit=9)
    assert {(event_id(1), "retired", "waiting"), (event_id(2), "retired", "waiting")} <= {
        (row.event_id, row.reason, row.state) for row in found
    }
    assert ["waiting"] == [row.state for row in found if row.id == letter]


def test_a_kind_of_jobs_is_not_gone_before_its_job_that_is_at_work_has_ended(town: Town) -> None:
    jobrows.hold(town.database, "job", "sms", "its-event", seconds=600)
    with town.duty():
        operation = town.retire(drain=False)
        until(
            lambda: town.operation(operation).message == "waits for what is at work", seconds=30, what="the job's turn"
        )
        jobrows.end(town.database, "job")
        assert "done" == town.await_end(operation).state
