"""The same tests in memory and over a real RabbitMQ: what the kit says in memory is what happens on the bus."""

import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from pydantic import BaseModel

from events.clock import DayEnded
from events.users import UserRegistered
from infra.errors import EffectRefused
from infra.jobs.handlers import Job
from infra.subscriptions import Batch, Context, Retry
from infra.testing import Kit, KitError
from tests.brokers import BrokerApi


@pytest.fixture(params=["in memory", "installed_rabbitmq", "newer_rabbitmq"])
def kit_broker(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """None, or a virtual host of the test's own on each version."""
    if request.param == "in memory":
        yield None
        return
    api = BrokerApi(request.getfixturevalue(request.param))
    url = api.create_vhost(f"kit-{secrets.token_hex(4)}")
    yield url
    api.delete_vhost(url)


class Days(BaseModel):
    days: int = 1
    fails: bool = False


def registered(name: str = "Ada") -> UserRegistered:
    return UserRegistered(user_id=uuid4(), name=name, email=f"{name.lower()}@example.com")


def test_one_event_and_what_follows_from_it(kit: Kit) -> None:
    kit.use("consumers.welcome_email", "consumers.activity_log")

    @kit.subscribe("counting", to=UserRegistered)
    def counts(event: UserRegistered, context: Context) -> None:
        context.publish(DayEnded(day=date(2026, 11, 26)))

    event_id = kit.publish(registered())
    settled = kit.settle()
    assert ["ada@example.com"] == [mail.to for mail in kit.mails]
    assert ["handled"] * 3 == [kit.state_of(event_id, each) for each in ("welcome-email", "counting", "activity-log")]
    assert [("day.ended", event_id)] == [(each.type, each.causation_id) for each in kit.published]
    assert ["user.registered", "day.ended"] == [each.type for each in settled.relayed]
    assert {"handled": 4} == settled.states
    assert [] == kit.settle().told


def test_what_fails_comes_again_and_what_is_refused_is_dead(kit: Kit) -> None:
    tries: list[int] = []

    @kit.subscribe("failing", to=UserRegistered)
    def fails(event: UserRegistered, context: Context) -> None:
        tries.append(context.attempt)
        if context.attempt == 1:
            raise ConnectionError("away")
        context.mail.send("welcome", to=event.email, name=event.name)

    @kit.subscribe("refusing", to=UserRegistered, retry=Retry(Retry.never(ValueError)))
    def refuses(event: UserRegistered, context: Context) -> None:
        raise ValueError("no such number")

    event_id = kit.publish(registered())
    assert {"retrying": 1, "dead": 1} == kit.settle().states
    assert "retrying" == kit.state_of(event_id, "failing")
    assert [("refusing", "handler-error", event_id)] == [(one.consumer, one.reason, one.event_id) for one in kit.dead]
    assert {"handled": 1} == kit.advance(seconds=6).states
    assert ([1, 2], 1) == (tries, len(kit.mails))


def test_one_delivery_by_hand_goes_on_over_the_bus(kit: Kit) -> None:
    kit.use("consumers.welcome_email")
    kit.fail_effects("mail")
    told = kit.deliver(registered(), to="welcome-email")
    assert ("retrying", 5, []) == (told.state, told.retry_in, told.mails)
    assert {"handled": 1} == kit.advance(seconds=6).states
    kit.fail_effects("mail", error=EffectRefused("550"))
    dead = kit.deliver(registered("Bob"), to="welcome-email")
    assert ["ada@example.com"] == [mail.to for mail in kit.mails]
    assert [dead.event_id] == [letter.event_id for letter in kit.dead]
    assert ("dead", "not-json") == (kit.deliver(b"{", to="welcome-email").state, kit.dead[-1].reason)


def test_what_is_for_later_and_what_is_filtered(kit: Kit) -> None:
    @kit.subscribe("planning", to=UserRegistered, where=lambda event: event.name != "Bob")
    def plans(event: UserRegistered, context: Context) -> None:
        context.publish(DayEnded(day=date(2026, 11, 26)), at=datetime.now(UTC) + timedelta(seconds=2))

    @kit.subscribe("hearing", to=DayEnded)
    def hears(event: DayEnded, context: Context) -> None:
        assert datetime.now(UTC) >= context.time

    kit.publish(registered())
    bob = kit.publish(registered("Bob"))
    assert {"handled": 1, "filtered": 1} == kit.settle().states
    assert "filtered" == kit.state_of(bob, "planning")
    assert {"handled": 1} == kit.advance(seconds=3).states


def test_one_bad_event_of_a_batch_is_retried_alone(kit: Kit) -> None:
    @kit.subscribe("several", to=UserRegistered, batch=Batch(50, 0.2))
    def takes(batch: list[Context]) -> None:
        for context in batch:
            if context.event.name == "Bob":
                raise ValueError(context.event.name)

    ada = [kit.publish(registered()) for _ in range(20)]
    bob = kit.publish(registered("Bob"))
    kit.settle()
    assert {"handled"} == {kit.state_of(each, "several") for each in ada}
    assert "retrying" == kit.state_of(bob, "several")


def test_events_of_one_subject_wait_for_the_one_before(kit: Kit) -> None:
    handled: list[str] = []

    @kit.subscribe("in-turn", to=UserRegistered, ordered=True)
    def takes(event: UserRegistered, context: Context) -> None:
        if event.name == "first" and context.attempt == 1:
            raise ConnectionError("away")
        handled.append(event.name)

    ada, bob = uuid4(), uuid4()
    names = [(ada, "first"), (ada, "second"), (bob, "other"), (ada, "third")]
    events = [UserRegistered(user_id=user, name=name, email="ada@example.com") for user, name in names]
    ids = [kit.publish(event) for event in events]
    kit.settle()
    assert ["other"] == handled
    assert ["retrying", "waiting", "handled", "waiting"] == [kit.state_of(each, "in-turn") for each in ids]
    kit.advance(seconds=6)
    assert ["other", "first", "second", "third"] == handled
    assert {"handled"} == {kit.state_of(each, "in-turn") for each in ids}


def test_a_test_does_not_wait_for_hours_of_real_time(kit: Kit, kit_broker: str | None) -> None:
    if kit_broker is None:
        kit.advance(hours=1)
        return
    with pytest.raises(KitError, match="Time is real here, and a test waits 60 s at most, not 3,600 s"):
        kit.advance(hours=1)
    with pytest.raises(KitError, match="does not go back"):
        kit.clock.move(days=-1)


def test_a_job_is_done_retried_and_cancelled(kit: Kit) -> None:
    @kit.kind("counting-days", parameters=Days, result="text/plain")
    def count(parameters: Days, job: Job) -> str:
        if job.attempt == 1 and parameters.fails:
            raise ConnectionError("away")
        for day in range(parameters.days):
            job.checkpoint(day + 1)
        return f"{parameters.days}"

    done, failing = kit.run_job("counting-days", {"days": 2}), kit.run_job("counting-days", {"fails": True})
    assert ("succeeded", "2", [1, 2]) == (done.state, done.result, done.checkpoints)
    assert ("retrying", "ConnectionError: away") == (failing.state, failing.error)
    kit.advance(seconds=6)
    assert ("succeeded", 2) == (kit.job(failing.id).state, kit.job(failing.id).attempts)
    kit.cancel_job(after_checkpoint=1)
    assert "cancelled" == kit.run_job("counting-days", {"days": 5}).state


def test_a_process_can_die_in_memory_only(kit: Kit, kit_broker: str | None) -> None:
    if kit_broker is None:
        kit.crash_job(after_checkpoint=1)
    else:
        with pytest.raises(KitError, match="run this test without a broker"):
            kit.crash_job(after_checkpoint=1)
