"""A subject that was erased: whatever of it is still on its way ends without a trace, wherever it is."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, update
from sqlmodel import Session

from events.envelope import Envelope, announce, encode
from events.users import UserErased, UserRegistered
from infra.database import dead_letters, effects, erasures, event_log, inbox, leases, outbox, settling
from infra.database.dead_letters import Filter
from infra.database.engine import Database, connect
from infra.database.leases import Holding
from infra.database.personal import Person
from infra.database.tables import Activity, Effect, EventLog, table
from infra.delivery import Deliveries
from infra.effects import Intent
from infra.errors import LeaseLost
from infra.outcomes import Done, Incoming, Outcome
from infra.recovery.keeping import Keeper
from infra.subscriptions import Batch, Context, Subscription
from tests.people import erased

ACTIVITY, LOG = table(Activity), table(EventLog)
SUBJECT = uuid4()
TYPES = ("user.registered", "user.erased")


def registered(subject: Any = SUBJECT) -> Envelope:
    return announce(UserRegistered(user_id=subject, name="Ada", email="ada@example.com"), source="/test")


def erase(database: Database, subject: Any = SUBJECT) -> None:
    with database.transaction() as session:
        erasures.begin(session, str(subject), datetime.now(UTC))


def write(context: Context) -> None:
    row = {"event_id": context.event_id, "type": "x", "subject": context.subject, "time": context.time}
    context.session.connection().execute(insert(ACTIVITY), row)


def written(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.connection().execute(select(ACTIVITY.c.event_id)).scalars())


def state(database: Database, envelope: Envelope) -> str | None:
    with database.reading() as session:
        entry = inbox.look(session, envelope.id, "tested")
        return None if entry is None else entry.state


Handle = Callable[[UserRegistered, Context], None]


def deliver(database: Database, handler: Handle, envelope: Envelope, **signs: Any) -> tuple[Outcome, list[Intent]]:
    performed: list[Intent] = []
    deliveries = Deliveries(database, {"mail": performed.append})
    (outcome,) = deliveries.handler(Subscription("tested", TYPES, handler))([Incoming(encode(envelope), **signs)])
    return outcome, performed


@pytest.mark.parametrize("signs", [{}, {"attempt": 2}, {"redelivered": True}, {"replay": True}])
def test_a_message_of_an_erased_subject_calls_no_handler(database: Database, signs: dict[str, Any]) -> None:
    erase(database)
    envelope, calls = registered(), []
    assert (Done(filtered=True), []) == deliver(database, lambda _, context: calls.append(1), envelope, **signs)
    assert ([], "erased") == (calls, state(database, envelope))


def test_the_event_that_tells_of_the_erasure_is_handled(database: Database) -> None:
    erase(database)
    envelope = announce(UserErased(user_id=SUBJECT), source="/test")
    with database.transaction() as session:
        erasures.announce(session, str(SUBJECT), envelope.id, datetime.now(UTC))
    assert (Done(), []) == deliver(database, lambda _, context: write(context), envelope)
    assert {envelope.id} == written(database)


@pytest.mark.parametrize("batch", [None, Batch()])
def test_a_process_that_has_known_of_the_erasure_before_handles_it_too(database: Database, batch: Batch | None) -> None:
    erase(database)
    subscription = Subscription("tested", TYPES, _write_all if batch else _write_one, batch=batch)
    handle = Deliveries(database, {}).handler(subscription)
    assert [Done(filtered=True)] == handle([Incoming(encode(registered()))])
    envelope = announce(UserErased(user_id=SUBJECT), source="/test")
    with database.transaction() as session:
        erasures.announce(session, str(SUBJECT), envelope.id, datetime.now(UTC))
    assert [Done()] == handle([Incoming(encode(envelope))])
    assert ({envelope.id}, "handled") == (written(database), state(database, envelope))


def _write_one(_: Any, context: Context) -> None:
    write(context)


def _write_all(batch: Sequence[Context]) -> None:
    for each in batch:
        write(each)


def test_long_after_the_erasure_a_process_knows_nothing_of_it_and_the_claim_drops_the_event(database: Database) -> None:
    erase(database)
    with database.transaction() as session:
        erasures.announce(session, str(SUBJECT), "told", datetime.now(UTC))
        (one,) = erasures.due(session, datetime.now(UTC), kind="erase")
        erasures.end(session, one, kind="erase")
    envelope, known = registered(), erasures.Known(database)
    assert not known.has(str(SUBJECT), envelope.id)
    assert (Done(filtered=True), []) == deliver(database, lambda _, context: write(context), envelope)
    assert (set(), "erased") == (written(database), state(database, envelope))


def test_others_are_handled_as_ever(database: Database) -> None:
    erase(database)
    envelope = registered(uuid4())
    assert (Done(), []) == deliver(database, lambda _, context: write(context), envelope)
    assert "handled" == state(database, envelope)


@pytest.mark.parametrize("writes", [True, False])
def test_a_handler_that_runs_while_its_subject_is_erased_leaves_no_row_and_sends_no_mail(
    database: Database, writes: bool
) -> None:
    envelope = registered()

    def handle(event: UserRegistered, context: Context) -> None:
        erase(database)
        context.mail.send("welcome", to=event.email, name=event.name)
        if writes:
            write(context)

    assert (Done(filtered=True), []) == deliver(database, handle, envelope)
    assert set() == written(database)
    with database.reading() as session:
        assert [] == effects.of_event(session, envelope.id)


def test_a_slow_handler_whose_claim_came_before_the_erasure_is_undone(postgres_url: str) -> None:
    database = connect(postgres_url)
    envelope = registered()

    def handle(event: UserRegistered, context: Context) -> None:
        write(context)
        erase(database)
        context.mail.send("welcome", to=event.email, name=event.name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.commits._QUICK", timedelta(0))
        assert (Done(filtered=True), []) == deliver(database, handle, envelope)
    assert set() == written(database)
    database.close()


def test_what_an_effect_after_a_slow_one_would_do_is_left_when_the_subject_is_erased_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    envelope, performed = registered(), []
    monkeypatch.setattr("infra.performing._QUICK", 0.0)

    def perform(intent: Intent) -> None:
        performed.append(intent.ordinal)
        with database.transaction() as session:
            session.connection().execute(update(table(Effect)).values(state="erased", arguments={}))

    def handle(event: UserRegistered, context: Context) -> None:
        context.mail.send("welcome", to=event.email)
        context.mail.send("welcome", to=event.email)

    deliveries = Deliveries(database, {"mail": perform})
    assert [Done()] == deliveries.handler(Subscription("tested", TYPES, handle))([Incoming(encode(envelope))])
    assert [0] == performed


def test_of_a_batch_the_erased_are_left_out(database: Database) -> None:
    erase(database)
    envelopes = [registered(), registered(uuid4())]

    def handle(batch: Sequence[Context]) -> None:
        for each in batch:
            write(each)

    subscription = Subscription("tested", TYPES, handle, batch=Batch())
    outcomes = Deliveries(database, {}).handler(subscription)([Incoming(encode(each)) for each in envelopes])
    assert [Done(filtered=True), Done()] == outcomes
    assert {envelopes[1].id} == written(database)


def test_what_is_erased_between_the_look_and_the_claim_of_a_batch_is_not_claimed(database: Database) -> None:
    envelopes = [registered(), registered(uuid4())]
    now = datetime.now(UTC)
    erase(database)
    with database.transaction() as session:
        these = [inbox.Delivery(each.id, "tested", 1, now, subject=each.subject) for each in envelopes]
        assert {envelopes[1].id} == inbox.claim_new(session, these)
    assert "erased" == state(database, envelopes[0])


def test_the_keeper_keeps_no_letter_of_an_erased_subject(database: Database) -> None:
    erase(database)
    mine, other = registered(), registered(uuid4())
    assert [Done()] * 2 == Keeper(database).keep([Incoming(encode(each)) for each in (mine, other)])
    with database.reading() as session:
        assert [other.id] == [each.event_id for each in dead_letters.page(session, Filter())]


def test_a_place_of_the_log_whose_event_was_erased_is_settled_for_everybody(database: Database) -> None:
    envelopes, now = [registered(), registered(uuid4())], datetime.now(UTC)
    rows = [
        {"position": at, "event_id": one.id, "type": one.type, "body": encode(one).decode(), "published_at": now}
        for at, one in enumerate(envelopes, 1)
    ]
    with database.transaction() as session:
        session.connection().execute(insert(LOG), rows)
        session.connection().execute(update(LOG).where(LOG.c.position == 1).values(body="", erased_at=now))
    with database.reading() as session:
        assert [2] == [each.position for each in settling.between(session, "tested", TYPES, 0, 2)]
        assert 1 == settling.summary_between(session, "tested", TYPES, 0, 2).count
        assert [2] == [each.position for each in event_log.at(session, [1, 2])]


def test_what_had_written_something_before_is_waited_for(postgres_url: str) -> None:
    """It may have claimed an event before the erasure began, and commit after it."""
    database = connect(postgres_url)
    with database.transaction() as other:
        write_something(other)
        with database.reading() as session:
            begun = erasures.begun(session)
            assert not erasures.is_over(session, begun)
    with database.transaction() as later, database.reading() as session:
        write_something(later)
        assert erasures.is_over(session, begun)
    database.close()


def test_on_sqlite_nobody_writes_beside_whoever_erases(sqlite_url: str) -> None:
    database = connect(sqlite_url)
    with database.reading() as session:
        assert erasures.is_over(session, erasures.begun(session))
    database.close()


def write_something(session: Session) -> None:
    row = {"event_id": str(uuid4()), "type": "x", "subject": None, "time": datetime.now(UTC)}
    session.connection().execute(insert(ACTIVITY), row)


def test_what_is_being_published_when_it_is_erased_gets_no_place_in_the_log(database: Database, tmp_path: Path) -> None:
    """The relay finds that its batch has changed, and publishes what is left of it again."""
    mine, other = registered(), registered(uuid4())
    holding = Holding("relay", "me", 60.0)
    with database.transaction() as session:
        outbox.add_all(session, [(mine, None), (other, None)])
        leases.acquire(session, holding.name, holding.holder, holding.seconds)
        rows = outbox.due(session, 10)
    erased(database, tmp_path, Person(str(SUBJECT)))
    with pytest.raises(LeaseLost), database.transaction() as session:
        event_log.publish(session, rows, lease=holding)
    with database.transaction() as session:
        assert 1 == event_log.publish(session, outbox.due(session, 10), lease=holding)
        assert [other.id] == [one.event_id for one in event_log.at(session, [1, 2])]
