"""One message to its outcome: handled once, effects after the commit, every failure ends where it should."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select

from events.clock import DayEnded
from events.envelope import Envelope, announce, decode, encode
from events.users import UserRegistered
from infra.database import effects, inbox, outbox
from infra.database.engine import Database
from infra.database.tables import Activity, table
from infra.delivery import Deliveries
from infra.effects import Intent
from infra.errors import DatabaseUnavailable, EffectFailed, EffectRefused, EffectUnknown
from infra.outcomes import Done, Hold, Incoming, Outcome, Park, RetryLater
from infra.subscriptions import Context, Handler, Subscription

ACTIVITY = table(Activity)


class Outside:
    """The world outside: performs the effect `mail` and remembers it, or fails as it is told."""

    def __init__(self) -> None:
        self.performed: list[Intent] = []
        self.failures: list[BaseException] = []

    def __call__(self, intent: Intent) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.performed.append(intent)


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
def envelope() -> Envelope:
    return announce(UserRegistered(user_id=uuid4(), name="Ada", email="ada@example.com"), source="/gateway")


Deliver = Callable[..., Outcome]


@pytest.fixture
def deliver(database: Database, outside: Outside, envelope: Envelope) -> Iterator[Deliver]:
    """Deliver the envelope (or other bytes) to a handler and give the outcome."""

    def run(handler: Handler, body: bytes | None = None, attempt: int = 1, **signs: bool) -> Outcome:
        subscription = Subscription("tested", ("user.registered",), handler)
        incoming = Incoming(body if body is not None else encode(envelope), attempt, **signs)
        (outcome,) = Deliveries(database, {"mail": outside}).handler(subscription)([incoming])
        return outcome

    return run  # type: ignore[return-value]


def write(event: UserRegistered, context: Context) -> None:
    row = {"event_id": context.event_id, "type": event.TYPE, "subject": context.subject, "time": context.time}
    context.session.connection().execute(insert(ACTIVITY), row)


def mail(event: UserRegistered, context: Context) -> None:
    context.mail.send("welcome", to=event.email, name=event.name)


def fail(event: Any, context: Context) -> None:
    write(event, context)
    raise ValueError("no")


def rows(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.connection().execute(select(ACTIVITY.c.event_id)).scalars())


def entry(database: Database, envelope: Envelope) -> Any:
    with database.reading() as session:
        (row,) = inbox.of_event(session, envelope.id)
        return row


def test_a_handlers_rows_and_the_inbox_row_are_committed_together(
    database: Database, deliver: Deliver, envelope: Envelope
) -> None:
    assert Done() == deliver(write)
    row = entry(database, envelope)
    assert ([envelope.id], "handled", 1, None) == (rows(database), row.state, row.attempts, row.error)


@pytest.mark.parametrize("signs", [{"redelivered": True}, {"attempt": 2}, {"replay": True}])
def test_a_redelivery_does_not_call_the_handler(
    database: Database, deliver: Deliver, envelope: Envelope, signs: dict[str, Any]
) -> None:
    calls = []

    def counted(event: UserRegistered, context: Context) -> None:
        calls.append(1)
        write(event, context)

    assert [Done(), Done()] == [deliver(counted), deliver(counted, **signs)]
    assert ([1], [envelope.id]) == (calls, rows(database))


def test_a_copy_that_looks_new_is_stopped_at_the_handlers_first_statement(
    database: Database, deliver: Deliver, envelope: Envelope, outside: Outside
) -> None:
    """The relay may publish an event twice, and nothing on the second copy says so."""
    beyond = []

    def counted(event: UserRegistered, context: Context) -> None:
        with contextlib.suppress(Exception):
            write(event, context)
        mail(event, context)
        beyond.append(1)

    assert [Done(), Done()] == [deliver(counted), deliver(counted)]
    assert ([1], [envelope.id], 1) == (beyond, rows(database), len(outside.performed))


def test_the_slower_of_two_concurrent_deliveries_leaves_nothing(
    database: Database, deliver: Deliver, envelope: Envelope
) -> None:
    """Both find no inbox row and run; the key lets only one of them commit."""

    def overtaken(event: UserRegistered, context: Context) -> None:
        assert Done() == deliver(write)
        context.publish(DayEnded(day=datetime.now(UTC).date()))

    assert Done() == deliver(overtaken)
    assert [envelope.id] == rows(database)
    with database.reading() as session:
        assert [] == outbox.due(session, 10)


def test_effects_happen_after_the_commit_and_are_marked(
    database: Database, deliver: Deliver, outside: Outside, envelope: Envelope
) -> None:
    assert Done() == deliver(mail)
    (sent,) = outside.performed
    arguments = {"template": "welcome", "to": "ada@example.com", "values": {"name": "Ada"}}
    assert (envelope.id, "tested", arguments) == (sent.event_id, sent.consumer, sent.arguments)
    with database.reading() as session:
        assert ["sent"] == [row.state for row in effects.of_event(session, envelope.id)]
    assert "handled" == entry(database, envelope).state


def test_no_effect_happens_when_the_handler_fails(database: Database, deliver: Deliver, outside: Outside) -> None:
    def mail_and_fail(event: UserRegistered, context: Context) -> None:
        mail(event, context)
        fail(event, context)

    assert RetryLater(5, "ValueError: no") == deliver(mail_and_fail)
    assert ([], []) == (outside.performed, rows(database))


def test_a_failed_effect_is_tried_again_without_the_handler_and_with_the_same_key(
    database: Database, deliver: Deliver, outside: Outside, envelope: Envelope
) -> None:
    keys: list[str] = []
    calls: list[int] = []

    def counted(event: UserRegistered, context: Context) -> None:
        calls.append(1)
        mail(event, context)

    outside.failures = [EffectUnknown("silence after DATA")]
    assert RetryLater(5, "EffectUnknown: silence after DATA") == deliver(counted)
    with database.reading() as session:
        (row,) = effects.of_event(session, envelope.id)
        keys.append(row.key)
    assert ("unknown", "retrying") == (row.state, entry(database, envelope).state)
    assert Done() == deliver(counted, attempt=2)
    keys.append(outside.performed[0].key)
    assert ([1], 1) == (calls, len(set(keys)))
    assert ("handled", None) == (entry(database, envelope).state, entry(database, envelope).error)


def test_only_the_unsent_of_several_effects_are_tried_again(
    deliver: Deliver, outside: Outside, database: Database, envelope: Envelope
) -> None:
    def three(event: UserRegistered, context: Context) -> None:
        for number in range(3):
            context.mail.send("welcome", to=f"{number}@example.com")

    class FailsSecond(Outside):
        def __call__(self, intent: Intent) -> None:
            if intent.ordinal == 1 and not self.failures:
                self.failures.append(EffectFailed("451"))
                raise self.failures[0]
            self.performed.append(intent)

    world = FailsSecond()
    run = Deliveries(database, {"mail": world}).handler(Subscription("tested", ("user.registered",), three))
    assert [RetryLater(5, "EffectFailed: 451")] == run([Incoming(encode(envelope))])
    assert [Done()] == run([Incoming(encode(envelope), 2)])
    assert [0, 1, 2] == [intent.ordinal for intent in world.performed]


def test_what_is_refused_for_good_is_dead_at_once(
    database: Database, deliver: Deliver, outside: Outside, envelope: Envelope
) -> None:
    outside.failures = [EffectRefused("550 no such user")]
    assert Park("handler-error", "EffectRefused: 550 no such user") == deliver(mail)
    assert ("dead", "EffectRefused: 550 no such user") == (
        entry(database, envelope).state,
        entry(database, envelope).error,
    )


def test_an_effect_that_nobody_registered_is_dead_at_once(deliver: Deliver) -> None:
    outcome = deliver(lambda event, context: context.perform("fax.send", number=1))
    assert isinstance(outcome, Park)
    assert "fax.send" in outcome.error


def test_a_failing_handler_is_retried_by_the_tiers_and_then_dead(
    database: Database, deliver: Deliver, envelope: Envelope
) -> None:
    outcomes = [deliver(fail, attempt=attempt) for attempt in range(1, 7)]
    assert [5, 30, 120, 600, 3600] == [each.delay for each in outcomes if isinstance(each, RetryLater)]
    assert Park("handler-error", "ValueError: no") == outcomes[-1]
    row = entry(database, envelope)
    assert ("dead", 6, []) == (row.state, row.attempts, rows(database))


def test_even_what_is_no_exception_class_of_ours_counts_as_a_failure(deliver: Deliver) -> None:
    """A time limit interrupts with a BaseException; generators and threads raise others."""

    def interrupted(event: UserRegistered, context: Context) -> None:
        raise GeneratorExit

    assert isinstance(deliver(interrupted), RetryLater)


def test_new_events_are_in_the_outbox_with_their_cause(
    database: Database, deliver: Deliver, envelope: Envelope
) -> None:
    ids: list[str] = []

    def chain(event: UserRegistered, context: Context) -> None:
        ids.append(context.publish(DayEnded(day=datetime.now(UTC).date())))
        ids.append(context.publish(DayEnded(day=datetime.now(UTC).date()), at=datetime.now(UTC) + timedelta(hours=1)))

    assert Done() == deliver(chain)
    with database.reading() as session:
        (now,) = outbox.due(session, 10)
        assert outbox.next_at(session) is not None
    published = decode(now.body.encode())
    assert (ids[0], envelope.id, envelope.correlation_id, "/consumers/tested") == (
        published.id,
        published.causation_id,
        published.correlation_id,
        published.source,
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xfe", "not-json"),
        (b"{}", "invalid-data"),
        (b"[" * 100_000, "not-json"),
        (b" " * 300_000, "too-large"),
    ],
)
def test_bytes_that_are_no_event_are_parked_with_their_reason(deliver: Deliver, body: bytes, reason: str) -> None:
    outcome = deliver(write, body)
    assert isinstance(outcome, Park)
    assert reason == outcome.reason


def test_a_database_that_is_away_holds_the_message(deliver: Deliver) -> None:
    """The attempt is not counted: nothing is wrong with the event."""

    def away(event: UserRegistered, context: Context) -> None:
        raise DatabaseUnavailable("away")

    assert Hold("away") == deliver(away)


def test_a_delivery_that_fails_logs_no_body(deliver: Deliver, caplog: pytest.LogCaptureFixture) -> None:
    deliver(fail)
    assert "ada@example.com" not in caplog.text
