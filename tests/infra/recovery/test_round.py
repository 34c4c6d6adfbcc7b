"""The whole round of a dead letter: parked, kept, replayed by the relay, handled, closed; by its one consumer alone."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from events.envelope import Envelope, encode
from infra.database import effects, replays
from infra.database.engine import Database
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import Activity, table
from infra.effects import Intent
from infra.recovery.keeping import Keeper
from infra.retrying import Retry
from infra.subscriptions import EVERY_TYPE, Context, Subscription
from tests.brokers import BrokerApi
from tests.consumption import consuming
from tests.letters import CONSUMER, entry, found, kept, put, resent
from tests.relays import add, await_logged, registered, running
from tests.waiting import until

OTHER = "activity-log"
ACTIVITY = table(Activity)
AT_ONCE = Retry(Retry.never(Exception))


@dataclass
class World:
    """Two consumers of one event, one of which fails until it is mended; the mails that went out."""

    database: Database
    vhost: str
    api: BrokerApi
    is_mended: bool = False
    calls: list[tuple[str, bool, int]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    mails: list[Intent] = field(default_factory=list)

    def welcome(self, event: Any, context: Context) -> None:
        """Write a row and intend a mail, or fail."""
        self.calls.append((context.event_id, context.is_replay, context.attempt))
        if not self.is_mended:
            raise KeyError("not mended")
        row = {"event_id": context.event_id, "type": event.TYPE, "subject": None, "time": datetime.now(UTC)}
        context.session.connection().execute(insert(ACTIVITY), row)
        context.mail.send("welcome", to=event.email)

    def note(self, _: Any, context: Context) -> None:
        """The other consumer."""
        self.others.append(context.event_id)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Meanwhile everything runs: both consumers, a keeper and a relay."""
        subscriptions = [
            Subscription(CONSUMER, ("user.registered",), self.welcome, retry=AT_ONCE),
            Subscription(OTHER, (EVERY_TYPE,), self.note),
        ]
        keeper = Keeper(self.database)
        with (
            consuming(self.vhost, self.database, subscriptions, {"mail": self.mails.append}, keeper=keeper),
            running(self.database, self.vhost),
        ):
            yield

    def park(self, *envelopes: Envelope) -> list[DeadLetter]:
        """Announce events, and wait until their letters are kept."""
        add(self.database, envelopes)
        until(lambda: len(kept(self.database)) >= len(envelopes), seconds=20, what="the keeping")
        return kept(self.database)

    def begin(self, *letter_ids: str, force: bool = False) -> None:
        with self.database.transaction() as session:
            assert len(letter_ids) == replays.begin(session, letter_ids, force=force)

    def await_state(self, letter_id: str, state: str, replays: int = 1) -> DeadLetter:
        def there() -> bool:
            row = found(self.database, letter_id)
            return (row.state, row.replays) == (state, replays)

        until(there, seconds=20, what=f"the letter's being {state}")
        return found(self.database, letter_id)


@pytest.fixture
def world(database: Database, vhost: str, broker_api: BrokerApi) -> World:
    return World(database, vhost, broker_api)


def rows(database: Database) -> int:
    with database.reading() as session:
        return int(session.connection().execute(select(func.count()).select_from(ACTIVITY)).scalar_one())


def test_a_replay_after_the_mistake_was_mended_is_handled_and_closes_the_letter(
    database: Database, world: World
) -> None:
    envelope = registered()
    with world.working():
        (letter,) = world.park(envelope)
        assert "dead" == entry(database, envelope).state
        first_at = entry(database, envelope).first_at
        world.is_mended = True
        world.begin(letter.id)
        closed = world.await_state(letter.id, "handled")
    assert ("its replay was handled", None) == (closed.closed_with, closed.operation_id)
    assert [(envelope.id, False, 1), (envelope.id, True, 1)] == world.calls
    row = entry(database, envelope)
    assert ("handled", 1, first_at) == (row.state, row.attempts, row.first_at)
    assert (1, [envelope.id], 1) == (rows(database), [mail.event_id for mail in world.mails], len(world.others))
    assert 0 == world.api.messages(world.vhost, OTHER)


def test_a_replay_that_fails_again_is_the_same_letter_with_the_newest_failure(database: Database, world: World) -> None:
    envelope = registered()
    with world.working():
        (letter,) = world.park(envelope)
        world.begin(letter.id)
        again = world.await_state(letter.id, "waiting")
        assert again.last_failed_at > letter.last_failed_at
        assert (2, letter.first_failed_at) == (again.attempts, again.first_failed_at)
        world.begin(letter.id)
        world.await_state(letter.id, "waiting", 2)
        world.is_mended = True
        world.begin(letter.id)
        world.await_state(letter.id, "handled", 3)
    assert 1 == len(kept(database))
    assert 4 == len(world.calls)


def test_copies_of_a_replay_run_once(database: Database, world: World) -> None:
    envelope = registered()
    with world.working():
        (letter,) = world.park(envelope)
    world.is_mended = True
    world.begin(letter.id)
    with running(database, world.vhost):
        until(lambda: not resent(database), seconds=20, what="the sending")
    ((properties, body),) = world.api.take(world.vhost, CONSUMER)
    with world.api.channel(world.vhost) as channel:
        for _ in range(3):
            channel.basic_publish("", CONSUMER, body, properties)
    with world.working():
        world.await_state(letter.id, "handled")
        until(lambda: world.api.messages(world.vhost, CONSUMER) == 0, what="the rest")
        add(database, [last := registered()])  # behind them in the queue
        until(lambda: any(mail.event_id == last.id for mail in world.mails), what="what came behind the copies")
    assert [envelope.id, last.id] == [mail.event_id for mail in world.mails]
    assert 2 == rows(database)


def test_force_runs_what_is_handled_and_its_mail_has_the_same_message_id(database: Database, world: World) -> None:
    envelope = registered()
    with world.working():
        (letter,) = world.park(envelope)
        world.is_mended = True
        world.begin(letter.id)
        world.await_state(letter.id, "handled")
        with database.transaction() as session:
            session.connection().execute(ACTIVITY.delete())
        put(database, letter.id, state="waiting", closed_at=None)
        world.begin(letter.id, force=True)
        world.await_state(letter.id, "handled", 2)
    first, second = world.mails
    assert first.key == second.key
    assert 3 == len(world.calls)
    with database.reading() as session:
        assert ["sent"] == [effect.state for effect in effects.of_event(session, envelope.id)]


def test_what_cannot_be_read_is_replayed_and_fails_again_as_the_same_letter(database: Database, world: World) -> None:
    with world.working():
        with world.api.channel(world.vhost) as channel:
            channel.confirm_delivery()
            channel.basic_publish("", CONSUMER, b"\x00 not an event")
        until(lambda: kept(database), seconds=20, what="the keeping")
        (letter,) = kept(database)
        assert ("not-json", CONSUMER, None) == (letter.reason, letter.consumer, letter.event_id)
        world.begin(letter.id)
        again = world.await_state(letter.id, "waiting")
    assert (1, b"\x00 not an event") == (len(kept(database)), again.body)


def test_what_could_not_be_read_and_now_can_is_still_the_same_letter_when_its_handler_fails(
    database: Database, world: World
) -> None:
    """As after a deployment: the bytes are the same, and their key was that of no event."""
    envelope = registered()
    with world.working():
        (letter,) = world.park(envelope)
        put(database, letter.id, key=f"{CONSUMER}#a-hash")
        world.begin(letter.id)
        world.await_state(letter.id, "waiting")
        world.is_mended = True
        world.begin(letter.id)
        world.await_state(letter.id, "handled", 2)
    assert [(letter.id, encode(envelope))] == [(row.id, row.body) for row in kept(database)]


def test_many_replays_are_all_handled_once(database: Database, world: World) -> None:
    envelopes = [registered() for _ in range(120)]
    with world.working():
        letters = world.park(*envelopes)
        await_logged(database, 120)
        world.is_mended = True
        world.begin(*(letter.id for letter in letters))
        until(lambda: {row.state for row in kept(database)} == {"handled"}, seconds=30, what="the end of all replays")
    assert (120, 120, 120) == (rows(database), len(world.mails), len(set(world.others)))
