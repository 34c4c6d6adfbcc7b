"""Mail each user, a week after they registered."""

from events.users import UserWeekPassed
from infra.subscriptions import Context, subscribe


@subscribe("reminder-email", to=UserWeekPassed)
def mail_reminder(event: UserWeekPassed, context: Context) -> None:
    """Mail a user whose week has passed."""
    context.mail.send("reminder", to=event.email, name=event.name, day=f"{event.registered_at:%Y-%m-%d}")
