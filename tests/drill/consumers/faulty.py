"""Fail for some people, whatever is tried."""

from events.users import UserRegistered
from infra.subscriptions import Context, Retry, subscribe

#: The name of those people begins so.
POISON = "Poison"


@subscribe("drill-faulty", to=UserRegistered, retry=Retry(delays=(5,)))
def stumble(event: UserRegistered, context: Context) -> None:
    """Let all others pass."""
    if event.name.startswith(POISON):
        raise ValueError("This one never works.")
