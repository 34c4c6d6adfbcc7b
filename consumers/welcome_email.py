"""Welcome each new user by e-mail."""

from events.users import UserRegistered
from infra.subscriptions import Context, subscribe


@subscribe("welcome-email", to=UserRegistered, concurrency=8)  # a mail server is waited for, most of the time
def welcome(event: UserRegistered, context: Context) -> None:
    """Intend the mail; it is sent after the commit."""
    context.mail.send("welcome", to=event.email, name=event.name)
