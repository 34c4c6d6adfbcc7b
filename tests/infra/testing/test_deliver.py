"""The testing kit, one delivery at a time: what a test sees of it."""

import asyncio
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from events.clock import DayEnded
from events.users import UserRegistered
from infra.database.engine import Database
from infra.database.tables import Activity, User, table
from infra.errors import EffectRefused
from infra.settings import Settings
from infra.subscriptions import Batch, Context, Retry, recorded
from infra.testing import Kit, KitError, Told


def registered(name: str = "Ada") -> UserRegistered:
    return UserRegistered(user_id=uuid4(), name=name, email="ada@example.com")


def test_a_mail_is_captured_as_it_would_be_sent(kit: Kit) -> None:
    told = kit.deliver(registered(), to="welcome-email")
    assert ("handled", 1, None, None) == (told.state, told.attempt, told.retry_in, told.error)
    (mail,) = told.mails
    assert ("ada@example.com", "welcome", {"name": "Ada"}) == (mail.to, mail.template, mail.values)
    assert "Ada" in mail.text
    assert [mail] == kit.mails
    assert [("mail", mail.key)] == [(each.kind, each.key) for each in told.effects]


def test_a_delivery_that_comes_again_does_nothing_more(kit: Kit) -> None:
    first = kit.deliver(registered(), to="welcome-email")
    assert first.envelope is not None
    again = kit.deliver(first.envelope, to="welcome-email", redelivered=True)
    assert ("handled", []) == (again.state, again.mails)
    assert 1 == len(kit.mails)


def test_a_handler_of_the_test_is_known_to_this_test_alone(kit: Kit) -> None:
    @kit.subscribe("tested", to=UserRegistered)
    def publishes(event: UserRegistered, context: Context) -> None:
        context.publish(DayEnded(day=date(2026, 11, 26)))

    told = kit.deliver(registered(), to="tested")
    assert ["day.ended"] == [each.type for each in told.published] == [each.type for each in kit.published]
    assert told.event_id == told.published[0].causation_id
    assert "tested" not in {each.consumer for each in recorded()}


def test_a_failure_says_what_and_when_again_and_leaves_no_trace(kit: Kit) -> None:
    @kit.subscribe("failing", to=UserRegistered)
    def fails(event: UserRegistered, context: Context) -> None:
        context.publish(DayEnded(day=date(2026, 11, 26)))
        context.mail.send("welcome", to=event.email, name=event.name)
        raise ConnectionError("the gateway is away")

    told = kit.deliver(registered(), to="failing")
    assert ("retrying", 5, "the gateway is away") == (told.state, told.retry_in, str(told.error))
    assert ([], [], [], []) == (told.published, told.mails, kit.published, kit.effects)
    assert "retrying" == kit.state_of(told.event_id, "failing")
    assert "ConnectionError: the gateway is away" in repr(told)
    assert "raise ConnectionError" in repr(told)


def test_what_is_given_up_has_its_reason_and_is_a_dead_letter(kit: Kit) -> None:
    @kit.subscribe("refusing", to=UserRegistered, retry=Retry(Retry.never(ValueError)))
    def refuses(event: UserRegistered, context: Context) -> None:
        raise ValueError("no such number")

    told = kit.deliver(registered(), to="refusing")
    assert ("dead", "handler-error", None) == (told.state, told.reason, told.retry_in)
    (letter,) = kit.dead
    assert (told.event_id, "refusing", "ValueError: no such number") == (
        letter.event_id,
        letter.consumer,
        letter.error,
    )


def test_bytes_that_are_no_event_are_given_up_as_on_the_bus(kit: Kit) -> None:
    told = kit.deliver(b"{", to="welcome-email")
    assert ("dead", "not-json", None) == (told.state, told.reason, told.envelope)


def test_an_effect_fails_as_often_as_it_is_told(kit: Kit) -> None:
    kit.fail_effects("mail", times=1)
    first = kit.deliver(registered(), to="welcome-email")
    assert ("retrying", []) == (first.state, first.mails)
    second = kit.advance(seconds=5).of("welcome-email")
    assert [("handled", 2)] == [(told.state, told.attempt) for told in second]
    kit.fail_effects("mail", error=EffectRefused("550 no such mailbox"))
    assert "dead" == kit.deliver(registered(), to="welcome-email").state
    assert 1 == len(kit.mails)


def test_a_template_that_needs_more_than_it_is_given_fails_here_and_not_in_production(kit: Kit, tmp_path: Path) -> None:
    for name in ("welcome.subject.txt", "welcome.txt"):
        (tmp_path / name).write_text("{{ name }} {{ surname }}")
    kit.templates(tmp_path)
    told = kit.deliver(registered(), to="welcome-email")
    assert "dead" == told.state
    assert "'surname' is undefined" in str(told.error)


def test_an_effect_that_nobody_registered_is_refused(kit: Kit) -> None:
    @kit.subscribe("tested", to=UserRegistered)
    def performs(event: UserRegistered, context: Context) -> None:
        context.perform("carrier-pigeon", to=event.name)

    assert "dead" == kit.deliver(registered(), to="tested").state


def test_a_list_is_one_batch_and_each_is_told_of(kit: Kit) -> None:
    sizes = []

    @kit.subscribe("several", to=UserRegistered, batch=Batch(10, 0.1))
    def takes(batch: list[Context]) -> None:
        sizes.append(len(batch))
        for context in batch:
            if context.event.name == "Bob":
                raise ValueError(context.event.name)

    assert ["handled", "handled"] == [each.state for each in kit.deliver([registered(), registered()], to="several")]
    told = kit.deliver([registered(), registered("Bob"), registered()], to="several")
    assert ["handled", "retrying", "handled"] == [each.state for each in told]
    assert [2, 3] == sizes[:2]


def test_a_coroutine_leaves_no_thread_behind() -> None:
    made = Kit()
    made.start()

    @made.subscribe("later", to=UserRegistered)
    async def waits(event: UserRegistered, context: Context) -> None:
        await asyncio.sleep(0)

    before = threading.active_count()
    assert "handled" == made.deliver(registered(), to="later").state
    assert before < threading.active_count()
    made.stop()
    assert before >= threading.active_count()


def test_what_its_guard_says_no_to_is_filtered(kit: Kit) -> None:
    @kit.subscribe("picky", to=UserRegistered, where=lambda event: event.name == "Bob")
    def takes(event: UserRegistered, context: Context) -> None:
        context.mail.send("welcome", to=event.email, name=event.name)

    assert ["filtered", "handled"] == [kit.deliver(registered(name), to="picky").state for name in ("Ada", "Bob")]
    assert ["Bob"] == [mail.values["name"] for mail in kit.mails]


def test_an_ordered_consumer_passes_over_what_is_not_its_turn(kit: Kit) -> None:
    @kit.subscribe("in-turn", to=UserRegistered, ordered=True)
    def takes(event: UserRegistered, context: Context) -> None:
        if context.attempt == 1:
            raise ConnectionError("away")

    event = registered()
    assert ["retrying", "waiting"] == [kit.deliver(event, to="in-turn").state for _ in range(2)]
    assert {"handled": 1, "retrying": 1} == kit.advance(seconds=5).states
    assert {"handled": 1} == kit.advance(seconds=5).states


def test_a_coroutine_is_awaited(kit: Kit) -> None:
    @kit.subscribe("later", to=UserRegistered)
    async def waits(event: UserRegistered, context: Context) -> None:
        await asyncio.sleep(0.01)
        context.mail.send("welcome", to=event.email, name=event.name)

    assert ["ada@example.com"] == [mail.to for mail in kit.deliver(registered(), to="later").mails]


def test_a_handler_that_takes_too_long_is_interrupted(kit: Kit) -> None:
    @kit.subscribe("slow", to=UserRegistered, timeout=0.1)
    def goes_on(event: UserRegistered, context: Context) -> None:
        while True:
            context.log.debug("still here")

    told = kit.deliver(registered(), to="slow")
    assert ("retrying", "TimeLimitExceeded") == (told.state, type(told.error).__name__)


def test_rows_are_the_tests_own_and_can_be_looked_at_and_added(kit: Kit) -> None:
    kit.deliver(registered(), to="activity-log")
    with kit.session() as session:
        assert ["user.registered"] == session.connection().execute(select(table(Activity).c.type)).scalars().all()
        assert [] == session.connection().execute(select(table(User))).all()


def test_a_handler_has_what_the_program_provides_and_what_the_test_does(kit: Kit) -> None:
    class Rates:
        pass

    rates = Rates()
    given: list[Any] = []

    @kit.subscribe("tested", to=UserRegistered)
    def asks(event: UserRegistered, context: Context) -> None:
        given.extend(context.provided(kind) for kind in (Rates, Database, Settings))

    kit.provide(rates)
    kit.deliver(registered(), to="tested")
    assert [rates, kit.database] == given[:2]
    assert "operator@example.org" == given[2].operator


def test_all_code_sees_the_clock_of_the_test(kit: Kit) -> None:
    seen = []

    @kit.subscribe("tested", to=UserRegistered)
    def looks(event: UserRegistered, context: Context) -> None:
        seen.append((datetime.now(UTC), context.time))

    kit.clock.move_to(datetime(2030, 1, 1, tzinfo=UTC))
    kit.deliver(registered(), to="tested")
    assert [(datetime(2030, 1, 1, tzinfo=UTC),) * 2] == seen
    kit.clock.move(hours=1)
    assert datetime(2030, 1, 1, 1, tzinfo=UTC) == kit.clock.now


def test_time_goes_on_after_a_test() -> None:
    before, made = datetime.now(UTC), Kit()
    made.start()
    made.clock.move(days=1000)
    made.stop()
    assert timedelta(0) < datetime.now(UTC) - before < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        (lambda kit: kit.deliver(registered(), to="sms2"), "No consumer 'sms2' takes part in this test, but "),
        (
            lambda kit: kit.deliver(DayEnded(day=date(2026, 1, 1)), to="welcome-email"),
            "welcome-email does not take day.ended: it is subscribed to user.registered.",
        ),
        (lambda kit: kit.use("consumers.nobody"), "kit.use: consumers.nobody cannot be imported: ModuleNotFoundError"),
        (lambda kit: kit.use("consumers"), "kit.use: consumers subscribes to nothing."),
        (lambda kit: kit.clock.move_to(datetime(2030, 1, 1)), "clock.move_to: give the moment a zone"),  # noqa: DTZ001
    ],
)
def test_what_cannot_be_is_one_clear_line(kit: Kit, deed: object, said: str) -> None:
    with pytest.raises(KitError) as caught:
        deed(kit)  # type: ignore[operator]
    assert str(caught.value).startswith(said)
    assert 1 == len(str(caught.value).splitlines())


def test_who_is_named_takes_part_and_nobody_else(kit: Kit) -> None:
    kit.use("consumers.welcome_email")
    kit.use("consumers.activity_log")
    event_id = kit.publish(registered())
    kit.settle()
    assert ["activity-log", "welcome-email"] == sorted(told.consumer for told in kit.told)
    assert "handled" == kit.state_of(event_id, "activity-log")
    with pytest.raises(KitError, match="'reminders' takes part"):
        kit.state_of(event_id, "reminders")


def test_a_told_is_short_as_long_as_all_is_well(kit: Kit) -> None:
    told: Told = kit.deliver(registered(), to="welcome-email")
    assert "<welcome-email: user.registered, try 1: handled>" == repr(told)
