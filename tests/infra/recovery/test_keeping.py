"""The keeper on a real broker: whatever is in the dead letters' queue is written down once, and only then gone."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pika
import pytest
from sqlalchemy import text

from events.envelope import Envelope, encode
from infra import faults
from infra.database import outbox
from infra.database.engine import Database, connect
from infra.database.recovery_tables import DeadLetter
from infra.outcomes import Done, Hold, Incoming, Outcome
from infra.rabbitmq.topology import DEAD_LETTERS, DELIVERY_LIMIT
from infra.recovery.keeping import Keeper
from infra.subscriptions import Context, Subscription
from tests.brokers import BrokerApi
from tests.consumption import consuming
from tests.letters import CONSUMER, entry, handled, kept
from tests.relays import record, registered
from tests.waiting import until

PARKED = {"x-tidings-reason": "handler-error", "x-tidings-consumer": CONSUMER, "x-tidings-error": "KeyError: 'x'"}


def refuse(_: Any, __: Context) -> None:
    raise KeyError("this event")


class Counting(Keeper):
    """A keeper that counts the messages that it is through with."""

    done = 0

    def keep(self, incoming: Sequence[Incoming]) -> list[Outcome]:
        outcomes = super().keep(incoming)
        self.done += sum(isinstance(outcome, Done) for outcome in outcomes)
        return outcomes


@dataclass(frozen=True)
class Scene:
    """A broker and a database, with what a test does to them."""

    database: Database
    vhost: str
    api: BrokerApi

    @contextlib.contextmanager
    def keeping(self, *subscriptions: Subscription, database: Database | None = None) -> Iterator[Counting]:
        """Meanwhile a keeper is at work, and these consumers."""
        keeper = Counting(database or self.database)
        with consuming(self.vhost, self.database, subscriptions, {}, keeper=keeper) as run:
            yield keeper
            assert run.all_threads_live

    def declare(self) -> None:
        """Make the queue of the one consumer."""
        with consuming(self.vhost, self.database, [Subscription(CONSUMER, ("user.registered",), refuse)], {}):
            pass

    def send(self, *bodies: bytes, queue: str = DEAD_LETTERS, headers: dict[str, Any] | None = None) -> None:
        """Publish bodies straight to a queue, confirmed."""
        properties = pika.BasicProperties(delivery_mode=2, headers=headers)
        with self.api.channel(self.vhost) as channel:
            channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish("", queue, body, properties, mandatory=True)

    @property
    def waiting(self) -> int:
        """Messages in the dead letters' queue."""
        return self.api.messages(self.vhost, DEAD_LETTERS)

    def give_up(self) -> None:
        """Take the consumer's one message and lose it so often that the broker gives it up."""

        def lose() -> bool:
            with self.api.channel(self.vhost) as channel:
                method, _, _ = channel.basic_get(CONSUMER)
                if method is not None:
                    channel.basic_reject(method.delivery_tag, requeue=True)
            return self.waiting > 0

        until(lose, seconds=30, what="the broker's giving up")


@pytest.fixture
def scene(database: Database, vhost: str, broker_api: BrokerApi) -> Scene:
    return Scene(database, vhost, broker_api)


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """No fault of one test is left for the next."""
    yield
    faults.arm(None)


def await_kept(database: Database, count: int) -> list[DeadLetter]:
    until(lambda: len(kept(database)) >= count, seconds=20, what=f"the keeping of {count}")
    return kept(database)


def await_done(keeper: Counting, count: int) -> None:
    until(lambda: keeper.done >= count, seconds=20, what=f"the end of {count} messages")


def test_what_a_consumer_parks_is_kept_once_and_out_of_the_queue(database: Database, scene: Scene) -> None:
    envelope, subscription = registered(), Subscription(CONSUMER, ("user.registered",), refuse)
    with scene.keeping(subscription) as keeper:
        scene.send(encode(envelope), queue=CONSUMER, headers={"x-attempt": 2})
        (row,) = await_kept(database, 1)
        await_done(keeper, 1)
    assert (CONSUMER, envelope.id, "handler-error", "builtins.KeyError", "waiting", 2) == (
        row.consumer,
        row.event_id,
        row.reason,
        row.exception,
        row.state,
        row.attempts,
    )
    assert row.frame is not None
    assert "test_keeping.py" in row.frame
    assert encode(envelope) == row.body
    assert 0 == scene.waiting


def test_many_are_kept_in_batches_each_once_whatever_comes_twice(database: Database, scene: Scene) -> None:
    bodies = [encode(registered()) for _ in range(350)]
    with scene.keeping() as keeper:
        scene.send(*bodies, *bodies[:50], headers=PARKED)
        await_done(keeper, 400)
    assert 0 == scene.waiting
    assert bodies == [row.body for row in kept(database)]


def test_what_the_broker_gave_up_is_kept_and_dead_in_the_inbox(database: Database, scene: Scene) -> None:
    envelope = registered()
    scene.declare()
    scene.send(encode(envelope), queue=CONSUMER, headers={"x-attempt": 3})
    scene.give_up()
    with scene.keeping():
        (row,) = await_kept(database, 1)
    assert (CONSUMER, "delivery-limit", DELIVERY_LIMIT + 3, "waiting") == (
        row.consumer,
        row.reason,
        row.attempts,
        row.state,
    )
    assert ("dead", row.error) == (entry(database, envelope).state, entry(database, envelope).error)


def test_what_the_broker_gave_up_after_it_was_handled_is_a_closed_letter(database: Database, scene: Scene) -> None:
    envelope = registered()
    scene.declare()
    handled(database, envelope)
    scene.send(encode(envelope), queue=CONSUMER)
    scene.give_up()
    with scene.keeping():
        (row,) = await_kept(database, 1)
    assert ("handled", "handled") == (row.state, entry(database, envelope).state)


HOSTILE: list[dict[str, Any] | None] = [
    None,
    {"x-tidings-reason": 7, "x-tidings-consumer": ["a"], "x-attempt": "many"},
    {"x-tidings-reason": "handler-error", "x-tidings-consumer": "\x00", "x-tidings-error": "\x00" * 3000},
    {"x-tidings-reason": b"\xff\xfe", "x-tidings-error": {"a": {"b": None}}, "x-death": "no list"},
    {"x-replay": True, "x-tidings-dead-letter": "\x00", **PARKED},
    {"x-death": [{"queue": 3, "reason": None, "time": "x"}], "x-tidings-failed-at": "0001-01-01"},
    {"x-tidings-frame": "f" * 60_000, **PARKED},
]


def test_hostile_messages_are_kept_with_their_bytes_and_stop_nobody(database: Database, scene: Scene) -> None:
    bodies = [b"", b"\x00", b"\xff\xfe", b"[" * 100_000, b'{"id": "\\ud800", "type": "\\u0000"}', b"x" * 1_000_000]
    with scene.keeping() as keeper:
        for headers in HOSTILE:
            scene.send(*bodies, encode(registered()), headers=headers)
        scene.send(encode(registered()), headers=PARKED)
        await_done(keeper, 7 * len(HOSTILE) + 1)
    assert set(bodies) <= {row.body for row in kept(database)}
    assert 0 == scene.waiting


def test_while_the_database_is_away_nothing_is_lost(database: Database, scene: Scene) -> None:
    away = connect("postgresql://nobody@127.0.0.1:1/none")
    bodies = [encode(registered()) for _ in range(20)]
    try:
        with scene.keeping(database=away) as keeper:
            scene.send(*bodies, headers=PARKED)
            until(lambda: scene.waiting == 0, what="the taking")
            assert 0 == keeper.done
    finally:
        away.close()
    until(lambda: scene.waiting == 20, what="the giving back")
    with scene.keeping():
        assert bodies == [row.body for row in await_kept(database, 20)]


def test_one_that_cannot_be_written_is_held_and_the_others_go_on(database: Database, scene: Scene) -> None:
    cursed, others = registered(), [registered() for _ in range(5)]
    with database.transaction() as session:
        session.connection().execute(text(_forbid(database, cursed)))
    with scene.keeping() as keeper:
        scene.send(encode(others[0]), encode(cursed), *(encode(each) for each in others[1:]), headers=PARKED)
        await_kept(database, 5)
        scene.send(encode(registered()), headers=PARKED)
        await_kept(database, 6)
        with database.transaction() as session:
            for statement in _allow(database):
                session.connection().execute(text(statement))
        await_done(keeper, 7)
    assert encode(cursed) in {row.body for row in kept(database)}
    assert 0 == scene.waiting


@pytest.mark.parametrize("point", ["keeper.before-commit", "keeper.before-ack"])
def test_a_fault_before_or_after_the_commit_costs_no_letter(database: Database, scene: Scene, point: str) -> None:
    faults.arm(f"{point}:1:raise")
    bodies = [encode(registered()) for _ in range(3)]
    with scene.keeping() as keeper:
        scene.send(*bodies, headers=PARKED)
        await_done(keeper, 3)
    assert (0, 3) == (scene.waiting, len(kept(database)))


def test_an_event_that_this_program_cannot_read_yet_is_dead_in_the_inbox_if_the_outbox_announced_it(
    database: Database,
) -> None:
    record(database, "user.registered")
    ours, forged = registered(), registered()
    newer = encode(ours).replace(b"/schemas/user.registered/1", b"/schemas/user.registered/9")
    with database.transaction() as session:
        outbox.add_all(session, [(ours, None), (forged, None)])
        outbox_row = "UPDATE outbox SET body = :body WHERE event_id = :event"
        session.connection().execute(text(outbox_row), {"body": newer.decode(), "event": ours.id})
    headers = {**PARKED, "x-tidings-reason": "newer-version"}
    forgery = encode(forged).replace(b"/1", b"/9")
    assert [Done()] * 2 == Keeper(database).keep([Incoming(newer, headers=headers), Incoming(forgery, headers=headers)])
    first, second = kept(database)
    assert (f"{CONSUMER}/{ours.id}", "dead") == (first.key, entry(database, ours).state)
    assert second.key.startswith(f"{CONSUMER}#")
    with database.reading() as session:
        assert 1 == session.connection().execute(text("SELECT count(*) FROM inbox")).scalar_one()


def test_whatever_interrupts_the_keeper_ends_in_a_hold(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry or a copy to the dead letters would overwrite what the message says of its end."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(database, "run", interrupted)
    outcomes: Sequence[Outcome] = Keeper(database).keep([Incoming(b"x"), Incoming(b"y")])
    assert [Hold("SystemExit")] * 2 == outcomes


def _forbid(database: Database, envelope: Envelope) -> str:
    """A constraint that this one event's letter breaks."""
    if database.is_sqlite:
        return (
            f"CREATE TRIGGER cursed BEFORE INSERT ON dead_letter WHEN NEW.event_id = '{envelope.id}' "
            "BEGIN SELECT RAISE(ABORT, 'cursed'); END"
        )
    return f"ALTER TABLE dead_letter ADD CONSTRAINT cursed CHECK (event_id <> '{envelope.id}')"


def _allow(database: Database) -> list[str]:
    return ["DROP TRIGGER cursed"] if database.is_sqlite else ["ALTER TABLE dead_letter DROP CONSTRAINT cursed"]
