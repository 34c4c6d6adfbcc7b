"""Dead letters for tests, and the part of their consumer, the relay and the keeper in a replay."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from events.envelope import Envelope, announce, encode
from events.users import UserRegistered
from infra.database import consumers, dead_letters, inbox, resends
from infra.database.dead_letters import Filter, Letter
from infra.database.engine import Database
from infra.database.recovery_tables import DeadLetter
from infra.subscriptions import Subscription

#: The consumer whose letters these are, unless a test says otherwise.
SMS = "sms"
#: When the first of them failed last; each further one failed a minute later.
START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def declare(database: Database, *names: str) -> None:
    """Record consumers of registrations."""
    with database.transaction() as session:
        consumers.declare(session, [Subscription(name, ("user.registered",), lambda *_: None) for name in names])


def registered() -> Envelope:
    """An event."""
    return announce(UserRegistered(user_id=uuid4(), name="Ada", email="ada@example.com"), source="/test")


def letter(envelope: Envelope, number: int = 0, consumer: str = SMS) -> Letter:
    """What the keeper makes of an event that its consumer gave up."""
    return Letter(
        key=f"{consumer}/{envelope.id}",
        consumer=consumer,
        event_id=envelope.id,
        type=envelope.type,
        subject=envelope.subject,
        reason="handler-error",
        exception="consumers.sms.NoCredit",
        error="NoCredit: top up",
        frame="consumers/sms.py:12 in send",
        attempts=6,
        first_failed_at=START + timedelta(minutes=number, hours=-1),
        last_failed_at=START + timedelta(minutes=number),
        version="0.1.0",
        body=encode(envelope),
    )


def undecodable(body: bytes, consumer: str = SMS) -> Letter:
    """What the keeper makes of bytes that are no event."""
    nothing = {"event_id": None, "type": None, "subject": None, "exception": None, "frame": None}
    made = replace(letter(registered()), key=f"{consumer}/{uuid4().hex}", reason="not-json", body=body)
    return replace(made, **nothing)  # type: ignore[arg-type]


def keep(database: Database, letters: Iterable[Letter]) -> list[str]:
    """Keep these as their consumers would have left them; gives their ids."""
    now, ids = datetime.now(UTC), []
    with database.transaction() as session:
        for one in letters:
            if one.event_id is not None:
                inbox.fail(session, inbox.Delivery(one.event_id, one.consumer, one.attempts, now), one.error, None)
            ids.append(dead_letters.keep(session, one))
    return ids


def some(database: Database, number: int, consumer: str = SMS) -> list[str]:
    """Keep so many, each of an event of its own; gives their ids, the oldest first."""
    return keep(database, (letter(registered(), count, consumer) for count in range(number)))


def in_state(database: Database, state: str) -> list[str]:
    """Ids of the letters that are in this state, the oldest first."""
    with database.reading() as session:
        rows = dead_letters.page(session, Filter(states=(state,)), limit=10_000)
    return [row.id for row in reversed(rows)]


def find(database: Database, letter_id: str) -> DeadLetter:
    """One letter."""
    with database.reading() as session:
        found = dead_letters.find(session, letter_id)
    assert found is not None
    return found


def handle_elsewhere(database: Database, letter_id: str) -> None:
    """Let the letter's consumer be through with the event by another way."""
    row = find(database, letter_id)
    with database.transaction() as session:
        assert inbox.claim(session, inbox.Delivery(str(row.event_id), row.consumer, 1, datetime.now(UTC)))


def relay(database: Database) -> list[str]:
    """Do what the relay does with messages for one queue; gives the letters that were sent."""
    with database.transaction() as session:
        waiting = resends.waiting(session, 10_000)
        resends.remove(session, waiting)
    return [str(row.dead_letter_id) for row in waiting]


def handle(database: Database, letter_ids: Iterable[str]) -> None:
    """Let the consumer handle these replays."""
    for each in letter_ids:
        row = find(database, each)
        with database.transaction() as session:
            assert inbox.claim(session, inbox.Delivery(str(row.event_id), row.consumer, 1, datetime.now(UTC)))
            dead_letters.close_handled(session, each, consumer=row.consumer)


def fail_again(database: Database, letter_ids: Iterable[str]) -> None:
    """Let the consumer give these replays up, and the keeper keep them."""
    for each in letter_ids:
        row, now = find(database, each), datetime.now(UTC)
        names = ("key", "consumer", "event_id", "type", "subject", "reason", "exception", "error", "frame", "attempts")
        same = {name: getattr(row, name) for name in (*names, "version", "body")}
        with database.transaction() as session:
            inbox.fail(session, inbox.Delivery(str(row.event_id), row.consumer, 1, now), row.error, None)
            dead_letters.keep(session, Letter(**same, first_failed_at=now, last_failed_at=now, is_replay=True))
