"""What the crash points' own clock announces: an event that no consumer of Tidings takes but the activity log."""

from pydantic import AwareDatetime

from events.envelope import Event


class CrashClockTicked(Event, type="crashes.ticked", version=1):
    """Another second is over."""

    due_at: AwareDatetime
