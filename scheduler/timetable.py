"""All schedules on one screen: when each fires, what it announces, and what becomes of a due time that was missed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from events.cleaning import CleaningRequested
from events.clock import DayEnded, HeartbeatTicked, HourPassed, MinutePassed
from events.envelope import Event
from infra.database.schedules import Definition
from infra.schedules.triggers import Cron, Daily, Every, Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One line of the timetable."""

    #: Durable: it is part of the ids of the events.
    name: str
    trigger: Trigger
    #: The `TYPE` of the events.
    type: str
    #: The event of a due time; must give the same event each time it is asked.
    announce: Callable[[datetime], Event]
    description: str
    #: What becomes of due times that no scheduler was there for: `skip`; `latest`: the last one is announced for all of
    #: them; `all`: each is, but not more than the newest `missed_limit`.
    missed: str = "latest"
    missed_limit: int = 100
    #: `skip`: while a consumer has not ended the tick before, the next one is left out; `allow`.
    overlap: str = "allow"

    @property
    def definition(self) -> Definition:
        """As it is written down."""
        return Definition(
            name=self.name,
            trigger=self.trigger.model_dump(mode="json"),
            type=self.type,
            description=self.description,
            missed=self.missed,
            missed_limit=self.missed_limit,
            overlap=self.overlap,
        )


#: Each window of the reminders begins where the one before ends: change the period here alone.
_REMINDERS = Every(every="1h")


def timetable(zone: str) -> tuple[Schedule, ...]:
    """All of them; `zone` is for what goes by the local clock."""
    return (
        Schedule(
            name="heartbeat",
            trigger=Every(every="10s"),
            type=HeartbeatTicked.TYPE,
            announce=lambda due: HeartbeatTicked(due_at=due),
            missed="skip",
            description="Shows that the whole road is open, from the clock to the consumers.",
        ),
        Schedule(
            name="health-check",
            trigger=Every(every="1m"),
            type=MinutePassed.TYPE,
            announce=lambda due: MinutePassed(due_at=due),
            missed="skip",
            description="Has broker, database and mail server looked at.",
        ),
        Schedule(
            name="daily-report",
            trigger=Daily(daily="07:00", zone=zone),
            type=DayEnded.TYPE,
            announce=lambda due: _day_before(due, ZoneInfo(zone)),
            missed="all",
            description="Has the operator told what happened on the day before.",
        ),
        Schedule(
            name="reminders",
            trigger=_REMINDERS,
            type=HourPassed.TYPE,
            announce=_window,
            missed="all",
            missed_limit=24 * 14,  # two weeks
            description="Has the users reminded who registered a week ago.",
        ),
        Schedule(
            name="cleaning",
            trigger=Cron(cron="17 * * * *", zone="UTC"),
            type=CleaningRequested.TYPE,
            announce=lambda due: CleaningRequested(due_at=due),
            description="Has old rows removed, see TIDINGS_KEEP_….",
        ),
    )


def _window(due: datetime) -> HourPassed:
    before = _REMINDERS.last_upto(due - timedelta(milliseconds=1))
    assert before is not None
    return HourPassed(since=before, until=due)


def _day_before(due: datetime, zone: ZoneInfo) -> DayEnded:
    """The day as its zone has it: of 23 or 25 hours where the clock is changed."""
    today = due.astimezone(zone).date()
    day = today - timedelta(days=1)
    since, until = (datetime.combine(each, time.min, tzinfo=zone).astimezone(UTC) for each in (day, today))
    return DayEnded(day=day, since=since, until=until)
