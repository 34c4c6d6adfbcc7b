"""What becomes of schedules themselves: an operator should hear of one that fires no more."""

from pydantic import AwareDatetime, Field

from events.envelope import Event


class ScheduleStalled(Event, type="schedule.stalled", version=1, subject="schedule"):
    """A schedule fell silent: it has not fired for more than two of its periods, though it is not paused."""

    schedule: str = Field(examples=["heartbeat"])
    silent_since: AwareDatetime = Field(description="The first due time that it did not fire at.")
    last_due_at: AwareDatetime | None = Field(
        default=None, description="The last one that was decided; null if none ever was."
    )


class ScheduleRecovered(Event, type="schedule.recovered", version=1, subject="schedule"):
    """A schedule that was silent fires again."""

    schedule: str = Field(examples=["heartbeat"])
    silent_since: AwareDatetime = Field(description="The first due time that it had not fired at.")
    last_due_at: AwareDatetime | None = Field(default=None, description="The due time that was decided last.")
