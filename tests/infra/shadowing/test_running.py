"""Shadow runs: the handler runs for real, and nothing of what it does stays."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select

from events.clock import DayEnded
from events.envelope import Envelope, announce, encode
from events.users import UserRegistered
from infra.database import event_log, leases, outbox
from infra.database.engine import Database
from infra.database.leases import Holding
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import Effect, Inbox, Outbox, User, table
from infra.delivery import Deliveries
from infra.errors import NotPossible
from infra.outcomes import Incoming
from infra.settings import Settings, load
from infra.shadowing import past
from infra.shadowing.running import Shadow
from infra.shadowing.views import DifferenceView, EffectView, EventView
from infra.subscriptions import Batch, Context, Subscription

LEASE = Holding("relay", "me", 60.0)
AN_HOUR_AGO = timedelta(hours=1)


def registered(name: str = "Ada") -> UserRegistered:
    return UserRegistered(user_id=uuid4(), name=name, email=f"{name.lower()}@example.com")


def logged(database: Database, *events: Any) -> list[Envelope]:
    envelopes = [announce(event, source="/test") for event in events]
    with database.transaction() as session:
        outbox.add_all(session, [(envelope, None) for envelope in envelopes])
        leases.acquire(session, LEASE.name, LEASE.holder, LEASE.seconds)
        event_log.publish(session, outbox.due(session, 1_000), lease=LEASE)
    return envelopes


def greets(event: UserRegistered, context: Context) -> None:
    context.mail.send("welcome", to=event.email, name=event.name)


def writes(event: UserRegistered, context: Context) -> None:
    row: dict[str, Any] = {"id": str(event.user_id), "name": event.name, "email": event.email, "email_key": event.email}
    row |= {"registered_at": datetime.now(UTC), "event_id": context.event_id}
    context.session.connection().execute(insert(table(User)), row)
    context.publish(DayEnded(day=date(2026, 11, 26)))


def subscription(handler: Callable[..., Any], **options: Any) -> Subscription:
    return Subscription("sms", ("user.registered",), handler, **options)


def live(database: Database, handler: Callable[..., Any], envelope: Envelope) -> None:
    """What the consumer did when the event came."""
    performers = {"mail": lambda _: None}
    Deliveries(database, performers).handler(subscription(handler))([Incoming(encode(envelope))])


def look(database: Database, handler: Callable[..., Any], *, values: bool = False, **options: Any) -> list[EventView]:
    shadow = Shadow(database, subscription(handler, **options), load(), values=values)
    since = datetime.now(UTC) - AN_HOUR_AGO
    types = ("user.registered",)
    return [shadow.look(each) for each in past.events(database, types, since=since, until=None, most=100)]


def everything(database: Database) -> list[Any]:
    with database.reading() as session:
        models = (Inbox, Effect, Outbox, User, DeadLetter)
        return [session.connection().execute(select(table(model))).all() for model in models]


def test_a_new_consumer_shows_what_it_would_do_and_leaves_nothing(database: Database) -> None:
    (envelope,) = logged(database, registered())
    (seen,) = look(database, greets)
    assert ("handled", None, None, envelope.id) == (seen.state, seen.recorded, seen.differences, seen.event_id)
    assert [EffectView(kind="mail", arguments=["template", "to", "values"])] == seen.effects
    assert [[]] * 5 == everything(database)


def test_values_are_shown_to_whoever_asks(database: Database) -> None:
    logged(database, registered())
    (seen,) = look(database, greets, values=True)
    arguments = {"template": "welcome", "to": "ada@example.com", "values": {"name": "Ada"}}
    assert [EffectView(kind="mail", arguments=arguments)] == seen.effects


def test_rows_and_published_events_are_counted_and_gone(database: Database) -> None:
    logged(database, registered(), registered("Bob"))
    seen = look(database, writes)
    assert [({"insert users": 1}, ["day.ended"])] * 2 == [(each.rows, each.publishes) for each in seen]
    assert [[]] * 5 == everything(database)


def test_what_would_be_as_it_was_is_known_as_such_and_its_record_stays(database: Database) -> None:
    (envelope,) = logged(database, registered())
    live(database, greets, envelope)
    before = everything(database)
    (seen,) = look(database, greets)
    assert (True, []) == (seen.is_as_recorded, seen.differences)
    assert before == everything(database)


def test_a_changed_handler_shows_only_how_it_differs(database: Database) -> None:
    def changed(event: UserRegistered, context: Context) -> None:
        context.mail.send("welcome", to=event.email, name=event.name.upper())
        greets(event, context)

    (envelope,) = logged(database, registered())
    live(database, greets, envelope)
    (seen,) = look(database, changed)
    changes = [DifferenceView(how="changed", kind="mail", arguments=["values.name"])]
    changes.append(DifferenceView(how="added", kind="mail", arguments=["template", "to", "values"]))
    assert changes == seen.differences
    (seen,) = look(database, changed, values=True)
    assert seen.differences is not None
    assert {"values.name": ("Ada", "ADA")} == seen.differences[0].arguments


def test_an_effect_that_is_not_wanted_any_more_is_missing(database: Database) -> None:
    (envelope,) = logged(database, registered())
    live(database, greets, envelope)
    (seen,) = look(database, lambda event, context: None, values=True)
    assert [("missing", "mail")] == [(each.how, each.kind) for each in seen.differences or ()]


def test_a_handler_that_would_fail_says_how(database: Database) -> None:
    def fails(event: UserRegistered, context: Context) -> None:
        raise ValueError("no number")

    (envelope,) = logged(database, registered())
    live(database, greets, envelope)
    before = everything(database)
    (seen,) = look(database, fails)
    assert ("retrying", "ValueError: no number", "handled") == (seen.state, seen.error, seen.recorded)
    assert not seen.is_as_recorded
    assert before == everything(database)


def test_a_mail_that_cannot_be_composed_would_fail(database: Database) -> None:
    def sends(event: UserRegistered, context: Context) -> None:
        context.mail.send("no-such-template", to=event.email)

    logged(database, registered())
    (seen,) = look(database, sends)
    assert ("dead", "EffectRefused: There is no mail template no-such-template.subject.txt.") == (
        seen.state,
        seen.error,
    )


def test_what_its_guard_says_no_to_is_filtered(database: Database) -> None:
    logged(database, registered(), registered("Bob"))
    seen = look(database, greets, where=lambda event: event.name == "Bob")
    assert ["filtered", "handled"] == [each.state for each in seen]


def test_batches_and_ordered_consumers_are_looked_at_event_by_event(database: Database) -> None:
    def takes(batch: list[Context]) -> None:
        for context in batch:
            greets(context.event, context)

    logged(database, registered(), registered("Bob"))
    assert [1, 1] == [len(each.effects) for each in look(database, takes, batch=Batch(10, 0.1))]
    assert [1, 1] == [len(each.effects) for each in look(database, greets, ordered=True)]


def test_a_handler_that_wants_the_database_itself_is_refused_in_one_line(database: Database) -> None:
    def asks(event: UserRegistered, context: Context) -> None:
        assert context.provided(Settings)
        context.provided(Database)

    logged(database, registered())
    with pytest.raises(NotPossible, match="sms asks for Database, with which it can do what cannot be undone"):
        look(database, asks)


def test_it_is_told_that_the_event_is_of_the_past(database: Database) -> None:
    told = []
    logged(database, registered())
    look(database, lambda event, context: told.append((context.is_replay, context.attempt)))
    assert [(True, 1)] == told


def test_events_come_in_the_order_of_the_log_and_no_more_than_wanted(database: Database) -> None:
    events = logged(database, *([registered(), DayEnded(day=date(2026, 1, 1))] * 120))
    since = datetime.now(UTC) - AN_HOUR_AGO

    def ids(types: tuple[str, ...], most: int = 1_000) -> list[str]:
        return [each.event_id for each in past.events(database, types, since=since, until=None, most=most)]

    everything = [each.id for each in events]
    assert everything == ids(("#",)) == ids(("user.registered", "day.ended"))
    assert everything[::2] == ids(("user.registered",))
    assert everything[:5] == ids(("#",), 5)
    later = datetime.now(UTC) + AN_HOUR_AGO
    assert [] == list(past.events(database, ("#",), since=later, until=None, most=10))


def test_a_handler_that_hangs_is_interrupted_by_its_own_limit(database: Database) -> None:
    def hangs(event: UserRegistered, context: Context) -> None:
        while context.session.connection().execute(select(1)).scalar():
            pass

    logged(database, registered())
    (seen,) = look(database, hangs, timeout=0.2)
    assert ("retrying", True) == (seen.state, str(seen.error).startswith("TimeLimitExceeded"))


def test_what_lives_meanwhile_is_handled_once_and_disturbs_nothing(database: Database) -> None:
    """The same events, at the same time, by the consumer itself and by its shadow."""
    envelopes = logged(database, *(registered(f"Ada{number}") for number in range(30)))
    with ThreadPoolExecutor(2) as pool:
        at_work = [pool.submit(live, database, writes, envelope) for envelope in envelopes]
        seen = look(database, writes)
        for each in at_work:
            each.result(60)
    assert 30 == len(seen)
    with database.reading() as session:
        states = session.connection().execute(select(table(Inbox).c.state)).scalars().all()
        users = session.connection().execute(select(func.count()).select_from(table(User))).scalar_one()
    assert (["handled"] * 30, 30) == (states, users)
