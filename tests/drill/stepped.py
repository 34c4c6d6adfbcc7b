"""The drill's own event: several of them have one subject, so their order can be seen."""

from uuid import UUID

from events.envelope import Event

#: Events that follow from one registration.
STEPS = 3


class DrillStepped(Event, type="drill.stepped", version=1, subject="user_id"):
    """One more step of a person who registered during a drill."""

    user_id: UUID
    number: int
