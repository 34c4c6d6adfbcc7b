"""Find the users who registered a week ago, and announce each of them once."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, select, update

from events.attributes import lowest_id
from events.clock import HourPassed
from events.users import ReminderPageEnded, UserWeekPassed
from infra.database.tables import User, table
from infra.subscriptions import Context, subscribe

WEEK = timedelta(days=7)
#: Users in one transaction; those of a busy hour are found by one delivery after the other.
PAGE = 200
_USERS = table(User)
# Users have UUIDv7 ids, so those of a window are a range of the key.
_FOUND = (
    select(_USERS.c.id)
    .where(
        _USERS.c.id > bindparam("after"),
        _USERS.c.id < bindparam("below"),
        _USERS.c.reminded_at.is_(None),
    )
    .order_by(_USERS.c.id)
    .limit(bindparam("most"))
)
# Who comes in between, in another window that holds some of the same users, has taken them.
_TAKE = (
    update(_USERS)
    .where(_USERS.c.id.in_(bindparam("found", expanding=True)), _USERS.c.reminded_at.is_(None))
    .values(reminded_at=bindparam("now"))
    .returning(_USERS.c.id, _USERS.c.name, _USERS.c.email, _USERS.c.registered_at)
)


@subscribe(
    "reminders", to=(HourPassed, ReminderPageEnded), publishes=(UserWeekPassed, ReminderPageEnded), concurrency=1
)
def remind(event: HourPassed | ReminderPageEnded, context: Context) -> None:
    """Announce each user whose week has passed: those of the window, from where the page before ended."""
    after = str(event.last) if isinstance(event, ReminderPageEnded) else lowest_id(event.since - WEEK)
    window = {"after": after, "below": lowest_id(event.until - WEEK), "most": PAGE}
    connection = context.session.connection()
    found = list(connection.execute(_FOUND, window).scalars())
    if not found:
        return
    for user in connection.execute(_TAKE, {"found": found, "now": datetime.now(UTC)}).all():
        context.publish(
            UserWeekPassed(user_id=user.id, name=user.name, email=user.email, registered_at=user.registered_at)
        )
    if len(found) == PAGE:
        context.publish(ReminderPageEnded(until=event.until, last=found[-1]))
