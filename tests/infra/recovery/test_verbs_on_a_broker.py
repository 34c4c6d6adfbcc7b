"""What operators do, on a real broker: relay, consumers, keeper and duties at work together."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from events.envelope import Event
from infra.database.dead_letters import Filter
from infra.database.engine import Database
from infra.database.recovery_tables import Operation
from infra.recovery import editing, replaying
from infra.recovery.duties import Duties
from infra.recovery.keeping import Keeper
from infra.recovery.operating import Operating
from infra.recovery.replaying import Terms
from infra.subscriptions import Context, Retry, Subscription
from tests import given_up, relays
from tests.consumption import consuming
from tests.waiting import until

ME: dict[str, Any] = {"who": "ada", "why": "mended"}


@dataclass
class Town:
    """Two consumers of registrations, one of which is broken until it is mended."""

    database: Database
    is_broken: bool = True
    #: Events that each has handled, with how often.
    handled: dict[str, Counter[str]] = field(default_factory=lambda: {"sms": Counter(), "audit": Counter()})
    replayed: set[str] = field(default_factory=set)

    def sms(self, _: Event, context: Context) -> None:
        """Handle, once it is mended; in a transaction of its own rows."""
        if self.is_broken:
            raise ConnectionError("no credit")
        self.handled["sms"][context.event_id] += 1
        if context.is_replay:
            self.replayed.add(context.event_id)

    def audit(self, _: Event, context: Context) -> None:
        """Handle."""
        self.handled["audit"][context.event_id] += 1

    @property
    def subscriptions(self) -> list[Subscription]:
        """Both."""
        at_once = Retry(Retry.never(Exception))
        types = ("user.registered",)
        return [Subscription("sms", types, self.sms, retry=at_once), Subscription("audit", types, self.audit)]

    @contextlib.contextmanager
    def duties(self, holder: str) -> Iterator[None]:
        """Meanwhile a process has the duty to work operations off."""
        duties = Duties(self.database, {"operations": Operating(self.database)}, holder)
        duties.start()
        try:
            yield
        finally:
            duties.stop()

    def give_up(self, number: int) -> list[str]:
        """Announce so many events, and wait until the broken consumer's are kept; gives the ids of the letters."""
        envelopes = [relays.registered() for _ in range(number)]
        relays.add(self.database, envelopes)
        until(lambda: len(given_up.in_state(self.database, "waiting")) == number, seconds=30, what="the letters")
        until(lambda: len(self.handled["audit"]) == number, seconds=30, what="the other consumer's work")
        return given_up.in_state(self.database, "waiting")

    def replay(self, terms: Terms = Terms()) -> str:  # noqa: B008  # it is frozen
        """Begin to replay all that waits."""
        with self.database.transaction() as session:
            return replaying.start(session, Filter(), terms, **ME).id

    def look(self, operation_id: str) -> Operation:
        """The operation as it is."""
        with self.database.reading() as session:
            return replaying.find_operation(session, operation_id)

    def await_sent(self, operation_id: str, number: int) -> None:
        """Wait until so many of its letters were sent."""
        until(lambda: self.look(operation_id).sent >= number, what=f"the sending of {number}")

    def await_end(self, operation_id: str) -> Operation:
        """Wait until it has ended."""
        until(lambda: self.look(operation_id).finished_at is not None, seconds=40, what="the operation's end")
        return self.look(operation_id)


@pytest.fixture
def town(database: Database, vhost: str) -> Iterator[Town]:
    """The consumers, a relay and a keeper, at work."""
    made = Town(database)
    with (
        consuming(vhost, database, made.subscriptions, {}, keeper=Keeper(database)) as run,
        relays.running(database, vhost),
    ):
        yield made
        assert run.all_threads_live


def test_what_failed_is_replayed_once_and_for_the_failed_consumer_alone(town: Town) -> None:
    letters = town.give_up(60)
    town.is_broken = False
    with town.duties("first"):
        done = town.await_end(town.replay(Terms(canary=5)))
    assert ("done", 60, 60, 0) == (done.state, done.sent, done.handled, done.failed)
    assert letters == given_up.in_state(town.database, "handled")
    assert {1} == set(town.handled["sms"].values())
    assert 60 == len(town.replayed)
    assert Counter(dict.fromkeys(town.replayed, 1)) == town.handled["audit"]


def test_a_canary_that_dies_again_saves_the_others_from_it(town: Town) -> None:
    town.give_up(20)
    with town.duties("first"):
        stopped = town.await_end(town.replay(Terms(canary=3)))
    assert ("stopped", 3) == (stopped.state, stopped.sent)
    until(lambda: len(given_up.in_state(town.database, "waiting")) == 20, what="the letters' return")


def test_a_process_that_has_the_duty_next_goes_on_where_the_last_one_ended(town: Town) -> None:
    town.give_up(40)
    town.is_broken = False
    operation = town.replay(Terms(rate=25))
    for number in range(3):
        with town.duties(f"process {number}"):
            town.await_sent(operation, min(town.look(operation).sent + 8, 40))
    with town.duties("last"):
        done = town.await_end(operation)
    assert ("done", 40, 40) == (done.state, done.sent, done.handled)
    assert (40, {1}) == (len(town.handled["sms"]), set(town.handled["sms"].values()))


def test_a_stop_takes_effect_and_what_is_not_sent_waits(town: Town) -> None:
    town.give_up(30)
    town.is_broken = False
    operation = town.replay(Terms(rate=4))
    with town.duties("first"):
        town.await_sent(operation, 2)
        with town.database.transaction() as session:
            replaying.stop(session, operation, **ME)
        until(lambda: town.look(operation).state == "stopped", seconds=5, what="the stop")
    sent = town.look(operation).sent
    until(lambda: len(given_up.in_state(town.database, "handled")) == sent, what="the end of those on their way")
    assert 30 - sent == len(given_up.in_state(town.database, "waiting"))


def test_an_edited_event_goes_to_every_consumer_as_a_new_one(town: Town) -> None:
    (letter,) = town.give_up(1)
    town.is_broken = False
    data = {"user_id": str(relays.registered().data.user_id), "name": "Grace", "email": "g@example.com"}  # type: ignore[attr-defined]
    with town.database.transaction() as session:
        made = editing.edit(session, letter, data, **ME)
    until(lambda: made in town.handled["sms"] and made in town.handled["audit"], what="the new event's handling")
    assert {made: 1} == dict(town.handled["sms"])
    assert "superseded" == given_up.find(town.database, letter).state
