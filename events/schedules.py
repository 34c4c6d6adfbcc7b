"""What becomes of schedules themselves: an operator should hear of one that fires no more."""

from pydantic import AwareDatetime

from events.envelope import Event


class ScheduleStalled(Event, type="schedule.stalled", version=1, subject="schedule"):
    """A schedule fell silent: it has not fired for more than two of its periods, though it is not paused."""

    schedule: str
    #: The first due time that it did not fire at.
    silent_since: AwareDatetime
    #: The last one that was decided; None if none ever was.
    last_due_at: AwareDatetime | None = None


class ScheduleRecovered(Event, type="schedule.recovered", version=1, subject="schedule"):
    """A schedule that was silent fires again."""

    schedule: str
    silent_since: AwareDatetime
    #: The due time that was decided last.
    last_due_at: AwareDatetime | None = None
