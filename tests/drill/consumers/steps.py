"""Publish the steps that follow from each registration: several events of one subject."""

from events.users import UserRegistered
from infra.subscriptions import Context, subscribe
from tests.drill.stepped import STEPS, DrillStepped


@subscribe("drill-steps", to=UserRegistered)
def step(event: UserRegistered, context: Context) -> None:
    """All of them in the one commit."""
    for number in range(1, STEPS + 1):
        context.publish(DrillStepped(user_id=event.user_id, number=number))
