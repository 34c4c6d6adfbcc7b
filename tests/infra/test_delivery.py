"""One message to its outcome: handled once, effects after the commit, every failure ends where it should."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, update

from events.clock import DayEnded
from events.envelope import Envelope, announce, decode, encode
from events.users import UserRegistered
from infra import commits
from infra.database import effects, inbox, outbox
from infra.database.engine import Database
from infra.database.tables import Activity, Effect, table
from infra.delivery import Deliveries
from infra.effects import Intent
from infra.errors import DatabaseUnavailable, EffectFailed, EffectRefused, EffectUnknown
from infra.outcomes import Done, Hold, Incoming, Outcome, Park, RetryLater
from infra.subscriptions import Context, Handler, Subscription

ACTIVITY, EFFECT = table(Activity), table(Effect)


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

    def run(handler: Handler, body: bytes | None = None, attempt: int = 1, **signs: Any) -> Outcome:
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
    outcome = deliver(mail)
    assert isinstance(outcome, Park)
    assert ("handler-error", "EffectRefused: 550 no such user") == (outcome.reason, outcome.error)
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
    def away(event: Any, context: Context) -> None:
        write(event, context)
        raise ConnectionResetError("away")

    outcomes = [deliver(away, attempt=attempt) for attempt in range(1, 7)]
    assert [5, 30, 120, 600, 3600] == [each.delay for each in outcomes if isinstance(each, RetryLater)]
    last = outcomes[-1]
    assert isinstance(last, Park)
    assert ("handler-error", "ConnectionResetError: away") == (last.reason, last.error)
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


def test_a_delivery_that_fails_logs_no_value(
    deliver: Deliver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def quote(event: UserRegistered, context: Context) -> None:
        raise ValueError(f"{event.email} is not welcome")

    assert RetryLater(5, "ValueError: ada@example.com is not welcome") == deliver(quote)
    assert "ValueError" in (said := caplog.text + "".join(capfd.readouterr()))
    assert "ada@example.com" not in said


def test_a_coroutine_function_is_run(database: Database, deliver: Deliver, envelope: Envelope) -> None:
    async def handler(event: UserRegistered, context: Context) -> None:
        await asyncio.sleep(0)
        write(event, context)

    assert Done() == deliver(handler)
    assert [envelope.id] == rows(database)


def test_a_copy_that_comes_while_the_effect_happens_waits(database: Database, envelope: Envelope) -> None:
    """A reconnect, or the relay's second publish, may bring one: it must not send the mail again."""
    performed: list[str] = []
    outcomes: list[Outcome] = []

    def slow(intent: Intent) -> None:
        outcomes.extend(handle([Incoming(encode(envelope), redelivered=True)]))
        performed.append(intent.key)

    handle = Deliveries(database, {"mail": slow}).handler(Subscription("tested", ("user.registered",), mail))
    assert [Done()] == handle([Incoming(encode(envelope))])
    assert (1, [Hold]) == (len(performed), [type(outcome) for outcome in outcomes])
    assert [Done()] == handle([Incoming(encode(envelope), redelivered=True)])
    assert 1 == len(performed)


def test_another_process_waits_for_the_one_that_began_the_effects(
    database: Database, envelope: Envelope, outside: Outside
) -> None:
    subscription = Subscription("tested", ("user.registered",), mail)

    def dies(intent: Intent) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        Deliveries(database, {"mail": dies}).handler(subscription)([Incoming(encode(envelope))])
    with database.transaction() as session:  # it was killed, and so could not say that it failed
        session.connection().execute(update(EFFECT).values(busy_until=datetime.now(UTC) + effects.LEASE))
    second = Deliveries(database, {"mail": outside}).handler(subscription)
    (outcome,) = second([Incoming(encode(envelope), redelivered=True)])
    assert isinstance(outcome, Hold)
    with database.transaction() as session:
        session.connection().execute(update(EFFECT).values(busy_until=datetime.now(UTC)))
    assert [Done()] == second([Incoming(encode(envelope), redelivered=True)])
    assert 1 == len(outside.performed)


def test_an_effect_that_could_not_be_marked_is_not_performed_again(
    database: Database, envelope: Envelope, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = Deliveries(database, {"mail": outside}).handler(Subscription("tested", ("user.registered",), mail))
    with monkeypatch.context() as patch:
        patch.setattr(commits, "mark_sent", _unavailable)
        for redelivered in (False, True, True):
            assert [Hold("away")] == handle([Incoming(encode(envelope), redelivered=redelivered)])
    assert [Done()] == handle([Incoming(encode(envelope), redelivered=True)])
    assert (1, "handled") == (len(outside.performed), entry(database, envelope).state)


def _unavailable(*_: object, **__: object) -> None:
    raise DatabaseUnavailable("away")


def test_an_effect_that_was_interrupted_may_have_happened(
    database: Database, deliver: Deliver, outside: Outside, envelope: Envelope
) -> None:
    outside.failures = [GeneratorExit()]
    assert isinstance(deliver(mail), RetryLater)
    with database.reading() as session:
        assert ["unknown"] == [row.state for row in effects.of_event(session, envelope.id)]


def test_an_interrupt_at_the_end_of_the_process_costs_the_event_no_try(database: Database, envelope: Envelope) -> None:
    def interrupted(event: UserRegistered, context: Context) -> None:
        raise GeneratorExit

    subscription = Subscription("tested", ("user.registered",), interrupted)
    handle = Deliveries(database, {}, is_stopping=lambda: True).handler(subscription)
    with pytest.raises(GeneratorExit):
        handle([Incoming(encode(envelope))])
    with database.reading() as session:
        assert [] == inbox.of_event(session, envelope.id)


def test_what_is_no_longer_subscribed_is_passed_over(database: Database, envelope: Envelope) -> None:
    """The binding of a type that was taken out of `to=` may still be there."""
    subscription = Subscription("tested", ("day.ended",), fail)
    assert [Done()] == Deliveries(database, {}).handler(subscription)([Incoming(encode(envelope))])
    with database.reading() as session:
        assert [] == inbox.of_event(session, envelope.id)
