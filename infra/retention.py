"""How long rows are kept: durations as people write them, and what follows for one table from another."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

#: Rows that are kept for ever.
FOREVER = timedelta.max
#: The least that an age may be: nothing goes that anybody may still be at.
LEAST = timedelta(hours=1)
#: By how much the inbox outlives the event log, at least: more than a copy of an event waits in any retry tier.
MARGIN = timedelta(days=1)
#: By how much it does when nothing else is said.
BEYOND = timedelta(days=10)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
#: Longest unit first: how a duration is shown.
_SHOWN = (("d", timedelta(days=1)), ("h", timedelta(hours=1)))
_DURATION = re.compile(r"([0-9]{1,5})([hdw])")
#: What a moment minus a duration can be without leaving the calendar.
_MOST = timedelta(days=36_500)


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


def read(text: str) -> timedelta:
    """A duration such as `12h`, `30d` or `52w`; `0` means for ever.

    Raises:
        ValueError: it is none, or too short or too long to mean anything.
    """
    if text == "0":
        return FOREVER
    found = _DURATION.fullmatch(text)
    duration = int(found[1]) * _UNITS[found[2]] if found else timedelta()
    if not LEAST <= duration <= _MOST:
        raise ValueError("use hours, days or weeks, as in 12h, 30d or 52w (an hour at least), or 0 for ever")
    return duration


def write(duration: timedelta) -> str:
    """The same as people read it."""
    if duration == FOREVER:
        return "0"
    unit, one = next((unit, one) for unit, one in _SHOWN if not duration % one)
    return f"{duration // one}{unit}"


def longer(duration: timedelta, by: timedelta) -> timedelta:
    """A duration and some more; nothing is longer than for ever."""
    return FOREVER if duration == FOREVER else duration + by


def since(now: datetime, kept: timedelta) -> datetime | None:
    """What is older than this may go; None when nothing may."""
    return None if kept == FOREVER else now - kept
