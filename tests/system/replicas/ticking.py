"""The replicas' own events: a tick names its schedule and due time, so that every witness can be asked for it."""

from pydantic import AwareDatetime

from events.envelope import Event


class ReplicaTicked(Event, type="replica.ticked", version=1, subject="schedule"):
    """A schedule of the replicas' timetable was due."""

    schedule: str
    due_at: AwareDatetime


class ReplicaDragged(Event, type="replica.dragged", version=1, subject="schedule"):
    """The same, for a consumer that needs longer than a period."""

    schedule: str
    due_at: AwareDatetime
