"""Take each registration by itself, in a transaction of its own, and do nothing else."""

from events.users import UserRegistered
from infra.subscriptions import Context, subscribe


@subscribe("neighbour", to=UserRegistered)
def take(_event: UserRegistered, context: Context) -> None:
    """The inbox has the time of its commit."""
    _ = context.session
