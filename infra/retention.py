"""How long rows are kept: durations as people write them, and what follows for one table from another."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, PlainValidator, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

#: Rows that are kept for ever.
FOREVER = timedelta.max
#: The least and the most: nothing goes that anybody may still be at, and every moment that long ago is in the calendar.
LEAST, MOST = timedelta(hours=1), timedelta(days=36_500)
#: By how much the inbox outlives the event log, at least: no copy of an event waits longer in a retry tier.
MARGIN = timedelta(days=1)
#: By how much it does when nothing is said.
BEYOND = timedelta(days=10)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DURATION = re.compile(r"([0-9]{1,6})([hdw])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """For each kind of rows how long they stay; `FOREVER` for those that never go."""

    event_log: timedelta
    #: With the effects of its rows.
    inbox: timedelta
    #: Closed ones; open ones stay.
    dead_letters: timedelta
    activity: timedelta
    #: With the gaps.
    schedule_runs: timedelta
    idempotency: timedelta
    operations: timedelta
    audit: timedelta
    #: The files of jobs.
    results: timedelta
    #: Jobs that are over, once their files are gone.
    jobs: timedelta


def read(text: str) -> timedelta:
    """A duration such as `12h`, `30d` or `52w`; `0` means for ever.

    Raises:
        ValueError: it is none, or too short or too long to mean anything.
    """
    if text == "0":
        return FOREVER
    found = _DURATION.fullmatch(text)
    duration = int(found[1]) * _UNITS[found[2]] if found else timedelta()
    if not LEAST <= duration <= MOST:
        raise ValueError("use hours, days or weeks, as in 12h, 30d or 52w (1h to 36500d), or 0 for ever")
    return duration


def write(duration: timedelta) -> str:
    """The same as people read it."""
    if duration == FOREVER:
        return "0"
    hours = duration // timedelta(hours=1)
    return f"{hours}h" if hours % 24 else f"{hours // 24}d"


def since(now: datetime, kept: timedelta) -> datetime | None:
    """What is older than this may go; None when nothing may."""
    return None if kept == FOREVER else now - kept


def _longer(duration: timedelta, by: timedelta) -> timedelta:
    return FOREVER if duration == FOREVER else duration + by


def _duration(value: object) -> timedelta:
    try:
        return value if isinstance(value, timedelta) else read(str(value))
    except ValueError as error:
        raise PydanticCustomError("duration", "{what}", {"what": str(error)}) from None


Kept = Annotated[timedelta, PlainValidator(_duration)]


class KeepSettings(BaseModel):
    """The settings `TIDINGS_KEEP_…`: `12h`, `30d`, `52w`, or `0` for ever."""

    keep_event_log: Kept = timedelta(days=90)
    #: Longer than the event log, or what is sent again would be handled again. Unset: ten days longer.
    keep_inbox: Kept | None = None
    #: Closed ones; as long as the event log at least, or the sweep would send their events. Unset: just as long.
    keep_dead_letters: Kept | None = None
    keep_activity: Kept = timedelta(days=90)
    keep_schedule_runs: Kept = timedelta(days=30)
    keep_idempotency: Kept = timedelta(days=7)
    keep_operations: Kept = timedelta(days=90)
    keep_audit: Kept = timedelta(days=365)
    keep_results: Kept = timedelta(days=7)
    #: A job stays as long as its result does, too.
    keep_jobs: Kept = timedelta(days=30)

    @field_validator("keep_inbox", "keep_dead_letters")
    @classmethod
    def _outlives_the_log(cls, value: timedelta | None, field: ValidationInfo) -> timedelta | None:
        log: timedelta | None = field.data.get("keep_event_log")
        by = MARGIN if field.field_name == "keep_inbox" else timedelta()
        if value is None or log is None or value >= _longer(log, by):
            return value
        least = "a day longer than" if by else "as long as"
        raise PydanticCustomError(
            "outlived",
            "it must be at least {least} TIDINGS_KEEP_EVENT_LOG ({log}); leave it unset, or set that too",
            {"least": least, "log": "for ever" if log == FOREVER else write(log)},
        )

    @property
    def retention(self) -> Retention:
        """How long everything is kept."""
        log = self.keep_event_log
        return Retention(
            event_log=log,
            inbox=self.keep_inbox or _longer(log, BEYOND),
            dead_letters=self.keep_dead_letters or log,
            activity=self.keep_activity,
            schedule_runs=self.keep_schedule_runs,
            idempotency=self.keep_idempotency,
            operations=self.keep_operations,
            audit=self.keep_audit,
            results=self.keep_results,
            jobs=self.keep_jobs,
        )
