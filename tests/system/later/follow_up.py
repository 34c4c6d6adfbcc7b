"""Plan something for each new user, and take it when its time has come."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from events.envelope import Event
from events.users import UserRegistered
from infra.subscriptions import Context, subscribe


class FollowUpDue(Event, type="followup.due", version=1, subject="user_id"):
    """It is time to look after a user."""

    user_id: UUID


@subscribe("follow-up-planner", to=UserRegistered)
def plan(event: UserRegistered, context: Context) -> None:
    """Announce it for later."""
    context.publish(FollowUpDue(user_id=event.user_id), at=datetime.now(UTC) + timedelta(hours=1))


@subscribe("follow-up", to=FollowUpDue)
def take(_event: FollowUpDue, context: Context) -> None:
    """The inbox has the time of its commit."""
    _ = context.session
