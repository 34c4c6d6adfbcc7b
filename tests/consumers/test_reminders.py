"""Users who registered a week ago are announced once each, whatever windows come, and in pages of a few."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st
from sqlalchemy import insert, text, update

from consumers import reminders
from consumers.reminders import PAGE, WEEK, remind
from events.attributes import lowest_id
from events.clock import HourPassed
from events.envelope import Event, announce, decode, encode
from events.users import ReminderPageEnded, UserWeekPassed
from infra.database import outbox
from infra.database.engine import Database
from infra.database.tables import User, table
from infra.delivery import Deliveries
from infra.outcomes import Done, Incoming
from infra.subscriptions import Subscription
from tests.plans import plans, scanned

UNTIL = datetime(2026, 11, 22, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def register(database: Database, *moments: datetime) -> list[UUID]:
    """Users who registered at these moments; gives their ids."""
    ids = [UUID(int=UUID(lowest_id(moment)).int | 7 << 76 | 2 << 62 | n) for n, moment in enumerate(moments)]
    rows = [
        {
            "id": str(one),
            "name": f"User {number}",
            "email": f"u{one.int}@example.com",
            "email_key": str(one),
            "registered_at": moment,
            "event_id": str(one),
        }
        for number, (one, moment) in enumerate(zip(ids, moments, strict=True))
    ]
    with database.transaction() as session:
        session.connection().execute(insert(table(User)), rows)
    return ids


def deliver(database: Database, event: Event) -> list[Event]:
    """Have the consumer handle it; gives what it announced."""
    subscription = Subscription("reminders", ("hour.passed", "reminder.page.ended"), remind)
    (outcome,) = Deliveries(database, {}).handler(subscription)([Incoming(encode(announce(event, source="/test")))])
    assert Done() == outcome
    with database.transaction() as session:
        due = outbox.due(session, 1_000)
        outbox.remove(session, [row.sequence for row in due])
    return [decode(row.body.encode()).data for row in due]


def reminded(database: Database, event: Event) -> list[UUID]:
    """Who is announced by it and by what follows from it."""
    announced = deliver(database, event)
    found = [each.user_id for each in announced if isinstance(each, UserWeekPassed)]
    for following in announced:
        if isinstance(following, ReminderPageEnded):
            found += reminded(database, following)
    return found


def window(until: datetime = UNTIL, length: timedelta = HOUR) -> HourPassed:
    return HourPassed(since=until - length, until=until)


def test_a_window_holds_its_beginning_and_not_its_end(database: Database) -> None:
    a_week_ago = UNTIL - WEEK
    before, first, last, after = register(
        database,
        a_week_ago - HOUR - timedelta(milliseconds=1),
        a_week_ago - HOUR,
        a_week_ago - timedelta(milliseconds=1),
        a_week_ago,
    )
    assert [first, last] == sorted(reminded(database, window()))
    assert [[before], [after]] == [reminded(database, window(UNTIL + way)) for way in (-HOUR, HOUR)]


def test_the_event_says_all_that_the_mail_needs(database: Database) -> None:
    moment = UNTIL - WEEK - timedelta(minutes=5)
    (user,) = register(database, moment)
    (event,) = deliver(database, window())
    assert UserWeekPassed(user_id=user, name="User 0", email=f"u{user.int}@example.com", registered_at=moment) == event


def test_a_window_that_comes_again_reminds_nobody_twice(database: Database) -> None:
    """Backfilled, or replayed under a new id, or as a part of a longer one."""
    users = register(database, *(UNTIL - WEEK - number * timedelta(minutes=7) for number in range(1, 9)))
    assert sorted(users) == sorted(reminded(database, window()))
    assert [[], []] == [reminded(database, window(length=length)) for length in (HOUR, 400 * HOUR)]


def test_many_users_are_reminded_in_pages(database: Database) -> None:
    """Also when many of them registered in the same millisecond."""
    users = register(database, *[UNTIL - WEEK - HOUR / 2] * (2 * PAGE), *[UNTIL - WEEK - HOUR / 3] * 50)
    first = deliver(database, window())
    assert PAGE + 1 == len(first)
    *page, following = first
    assert isinstance(following, ReminderPageEnded)
    found = [each.user_id for each in page if isinstance(each, UserWeekPassed)] + reminded(database, following)
    assert Counter(users) == Counter(found)


@rules(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 49))
def test_windows_that_touch_leave_nobody_out_however_long_each_is(
    sqlite_database: Database, minutes: Sequence[int], offset: int
) -> None:
    """As after a change of the schedule's period, or in the hours around a change of the clocks."""
    with sqlite_database.transaction() as session:
        session.connection().execute(text("DELETE FROM users"))
        session.connection().execute(text("DELETE FROM inbox"))
    start = UNTIL + timedelta(minutes=offset)
    ends = [start + timedelta(minutes=sum(minutes[:number])) for number in range(len(minutes) + 1)]
    users = register(sqlite_database, *(start - WEEK + timedelta(minutes=each) for each in range(sum(minutes))))
    found = [
        user
        for since, until in pairwise(ends)
        for user in reminded(sqlite_database, HourPassed(since=since, until=until))
    ]
    assert Counter(users) == Counter(found)


def test_two_that_look_at_once_share_the_users(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between one's look and its taking, the other has taken some."""
    users = register(database, *(UNTIL - WEEK - number * timedelta(minutes=7) for number in range(1, 9)))
    with database.transaction() as session:
        taken = {"reminded_at": UNTIL}
        session.connection().execute(update(table(User)).where(table(User).c.id == str(users[0])).values(taken))
    everybody = text("SELECT id FROM users WHERE id > :after AND id < :below ORDER BY id LIMIT :most")
    monkeypatch.setattr(reminders, "_FOUND", everybody)
    assert sorted(users[1:]) == sorted(reminded(database, window()))


def test_a_window_is_a_range_of_the_key(database: Database) -> None:
    """No scan, however many users there are."""
    register(database, *(UNTIL - WEEK - timedelta(seconds=number) for number in range(20_000)))
    with plans(database) as found:
        deliver(database, window())
    (plan,) = [each for each in found if "users" in each]
    assert not scanned(plan, "users")
