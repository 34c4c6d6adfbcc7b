"""All schedules on one screen: when each fires, and what it announces."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from events.cleaning import CleaningRequested
from events.clock import DayEnded, HeartbeatTicked, HourPassed, MinutePassed
from events.envelope import Event

#: Where all intervals are counted from, so that every replica has the same due times.
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """One line of the timetable."""

    #: Durable: it is part of the ids of the events.
    name: str
    trigger: BaseTrigger
    #: The event of a due time; must give the same event each time it is asked.
    announce: Callable[[datetime], Event]
    description: str


def every(**interval: float) -> IntervalTrigger:
    """An interval (`seconds=`, `minutes=` …) whose due times are the same in every process."""
    return IntervalTrigger(**interval, start_date=EPOCH, timezone=UTC)


TIMETABLE = (
    Schedule(
        "heartbeat",
        every(seconds=10),
        lambda due: HeartbeatTicked(due_at=due),
        "Shows that the whole road is open, from the clock to the consumers.",
    ),
    Schedule(
        "day-end",
        CronTrigger(hour=0, minute=0, timezone=UTC),
        lambda due: DayEnded(day=(due.astimezone(UTC) - timedelta(days=1)).date()),
        "Tells that a day (UTC) is over.",
    ),
    Schedule(
        "health-check",
        every(minutes=1),
        lambda due: MinutePassed(due_at=due),
        "Has broker, database and mail server looked at.",
    ),
    Schedule(
        "reminders",
        every(hours=1),
        lambda due: HourPassed(since=due - timedelta(hours=1), until=due),
        "Has the users reminded who registered a week ago.",
    ),
    Schedule(
        "cleaning",
        CronTrigger(minute=17, timezone=UTC),
        lambda due: CleaningRequested(due_at=due),
        "Has old rows removed, see TIDINGS_KEEP_….",
    ),
)
