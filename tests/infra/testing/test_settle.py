"""The testing kit, until nothing is due any more: what is published, what comes back, what time brings."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from events.clock import DayEnded, HeartbeatTicked
from events.envelope import Event
from events.users import UserRegistered
from infra.subscriptions import Context, Retry
from infra.testing import Kit, KitError
from scheduler.timetable import timetable


def registered(name: str = "Ada") -> UserRegistered:
    return UserRegistered(user_id=uuid4(), name=name, email="ada@example.com")


def test_an_event_reaches_all_who_take_it_and_what_they_publish_in_turn(kit: Kit) -> None:
    @kit.subscribe("first", to=UserRegistered)
    def first(event: UserRegistered, context: Context) -> None:
        context.publish(DayEnded(day=date(2026, 11, 26)))

    heard = []

    @kit.subscribe("all", to=Event)
    def second(event: Event, context: Context) -> None:
        heard.append(event.TYPE)

    event_id = kit.publish(registered())
    assert "pending" == kit.state_of(event_id, "first")
    settled = kit.settle()
    assert ["user.registered", "day.ended"] == heard == [each.type for each in settled.relayed]
    assert ({"handled": 3}, "handled") == (settled.states, kit.state_of(event_id, "all"))
    assert [] == kit.settle().told


def test_a_retry_comes_back_when_its_time_has_come_and_not_before(kit: Kit) -> None:
    tries = []

    @kit.subscribe("failing", to=UserRegistered)
    def fails(event: UserRegistered, context: Context) -> None:
        tries.append((context.attempt, datetime.now(UTC) - start))
        if len(tries) < 4:
            raise ConnectionError("away")

    start = kit.clock.now
    event_id = kit.publish(registered())
    kit.settle()
    assert [] == kit.advance(seconds=4.9).told
    kit.advance(minutes=5)
    assert [(1, 0), (2, 5), (3, 35), (4, 155)] == [(attempt, after.total_seconds()) for attempt, after in tries]
    assert "handled" == kit.state_of(event_id, "failing")
    assert start + timedelta(seconds=304.9) == kit.clock.now


def test_what_has_no_further_try_is_dead(kit: Kit) -> None:
    @kit.subscribe("failing", to=UserRegistered, retry=Retry(delays=(5, 30)))
    def fails(event: UserRegistered, context: Context) -> None:
        raise ConnectionError("away")

    event_id = kit.publish(registered())
    assert {"retrying": 2, "dead": 1} == kit.advance(hours=1).states
    assert "dead" == kit.state_of(event_id, "failing")
    assert [("failing", 3)] == [(letter.consumer, letter.attempts) for letter in kit.dead]


def test_what_is_for_later_happens_then(kit: Kit) -> None:
    @kit.subscribe("planning", to=UserRegistered)
    def plans(event: UserRegistered, context: Context) -> None:
        context.publish(DayEnded(day=date(2026, 11, 26)), at=datetime.now(UTC) + timedelta(days=7))

    @kit.subscribe("hearing", to=DayEnded)
    def hears(event: DayEnded, context: Context) -> None:
        assert datetime.now(UTC) == context.time

    kit.publish(registered())
    assert [] == kit.settle().of("hearing")
    assert ["day.ended"] == [each.type for each in kit.published]
    assert [] == kit.advance(days=6, hours=23).of("hearing")
    assert ["handled"] == [told.state for told in kit.advance(hours=1).of("hearing")]


def test_schedules_fire_at_their_due_times_once_each(kit: Kit) -> None:
    @kit.subscribe("heart", to=HeartbeatTicked)
    def beats(event: HeartbeatTicked, context: Context) -> None:
        assert event.due_at == datetime.now(UTC)

    kit.clock.move_to(datetime(2026, 11, 26, 12, tzinfo=UTC))
    kit.schedules([each for each in timetable("UTC") if each.name == "heartbeat"])
    assert [] == kit.settle().told
    assert {"handled": 6} == kit.advance(minutes=1).states
    assert [datetime(2026, 11, 26, 12, 0, second, tzinfo=UTC) for second in (10, 20, 30, 40, 50)] == [
        each.time for each in kit.published
    ][:5]


def test_the_whole_timetable_runs_with_the_consumers_that_are_there(kit: Kit) -> None:
    kit.use("consumers.daily_report", "consumers.activity_log")
    kit.clock.move_to(datetime(2026, 11, 26, 6, 30, tzinfo=UTC))
    kit.schedules(timetable("UTC"))
    settled = kit.advance(hours=1)
    assert {"handled"} == set(settled.states)
    assert ["operator@example.org"] == [mail.to for mail in kit.mails]


def test_a_loop_of_events_ends_by_the_guard_of_the_bus(kit: Kit) -> None:
    @kit.subscribe("echo", to=DayEnded)
    def echoes(event: DayEnded, context: Context) -> None:
        context.publish(event)

    kit.publish(DayEnded(day=date(2026, 11, 26)))
    assert {"handled": 6, "dead": 1} == kit.settle().states
    assert ["loop"] == [letter.reason for letter in kit.dead]


def test_events_that_cause_one_another_for_ever_end_with_a_clear_line(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.testing.memory.MOST", 50)

    @kit.subscribe("echo", to=DayEnded)
    def echoes(event: DayEnded, context: Context) -> None:
        kit.publish(event)

    kit.publish(DayEnded(day=date(2026, 11, 26)))
    with pytest.raises(KitError, match=r"This does not end: 50 tries, the last ones of day\.ended\."):
        kit.settle()
