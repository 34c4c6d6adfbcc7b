"""What time brings, and the ids of such events, which every replica of the scheduler works out alike."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from pydantic import AwareDatetime, Field

from events.attributes import write_time
from events.envelope import Event

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class HeartbeatTicked(Event, type="heartbeat.ticked", version=1):
    """The scheduler lives, and so does the road from it to the consumers."""

    due_at: AwareDatetime = Field(description="When it was to tick, which may be earlier than when it did.")


class MinutePassed(Event, type="minute.passed", version=1):
    """Another minute of UTC is over."""

    due_at: AwareDatetime = Field(description="The end of the minute.")


class HourPassed(Event, type="hour.passed", version=1):
    """A window of time is over, an hour as a rule: from `since` on, and before `until`, where the next one begins."""

    since: AwareDatetime = Field(description="The first moment of the window.")
    until: AwareDatetime = Field(description="The first moment behind it.")


class DayEnded(Event, type="day.ended", version=1, subject="day"):
    """A calendar day is over in the time zone of its schedule."""

    day: date
    since: AwareDatetime | None = Field(default=None, description="When it began there; null: it is a day of UTC.")
    until: AwareDatetime | None = Field(default=None, description="When the next one began there.")


def due_id(schedule: str, due: datetime) -> str:
    """The id of the event of one schedule at one due time: the same in every process, and in order with other ids.

    It has the layout of a UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds since 1970, those of the due time.
    The other bits are not random but from SHA-256 over schedule and due time.

    Raises:
        ValueError: the due time has no zone, or is before 1970.
    """
    if due.utcoffset() is None or due < _EPOCH:
        raise ValueError("A due time must have a zone and be after 1970.")
    milliseconds = (due - _EPOCH) // _MILLISECOND
    digest = hashlib.sha256(f"{write_time(due)} {schedule}".encode()).digest()
    return str(UUID(int=_as_version_7(int.from_bytes(milliseconds.to_bytes(6, "big") + digest[:10], "big"))))


def _as_version_7(bits: int) -> int:
    # `UUID(version=7)` exists from Python 3.14 on.
    return bits & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x7000 << 64 | 0x8000 << 48
