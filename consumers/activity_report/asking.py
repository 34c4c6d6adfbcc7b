"""What can be asked of an activity report, and which days that makes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, EmailStr, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from infra.zones import Zone

#: Ten years of days, a leap day more or less.
LONGEST = 3_653
#: Days of a report that nobody said more about.
_DAYS = 7
_DAY = timedelta(days=1)
#: Bounds within which every zone can be worked out.
_FIRST, _BEHIND = date(1970, 1, 2), date(3000, 1, 1)
EventType = Annotated[str, Field(min_length=1, max_length=500)]


class ActivityReport(BaseModel):
    """A report of what happened, by day and type of event."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: date | None = Field(
        default=None,
        ge=_FIRST,
        lt=_BEHIND,
        description="Its first day; unset: seven days before `until`.",
        examples=["2026-11-01"],
    )
    until: date | None = Field(
        default=None,
        ge=_FIRST,
        lt=_BEHIND,
        description="The first day behind it, which is not part of it; unset: the day on which it is asked for, "
        "so that the last day is the one before that.",
        examples=["2026-11-08"],
    )
    zone: Zone | None = Field(
        default=None,
        description="Whose days they are; unset: TIDINGS_ZONE.",
        examples=["Europe/Berlin"],
    )
    types: list[EventType] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Events of these types only; unset: all.",
        examples=[["user.registered"]],
    )
    mail_to: Annotated[EmailStr, Field(max_length=254)] | None = Field(
        default=None, description="Who is sent the figures, and report.csv with them.", examples=["ada@example.com"]
    )

    @field_validator("until")
    @classmethod
    def _is_behind(cls, until: date | None, given: ValidationInfo) -> date | None:
        since = given.data.get("since")
        if until is None or since is None:
            return until
        if until <= since:
            raise PydanticCustomError("not_after_since", "it must be after since, for it is not part of the report")
        if (until - since).days > LONGEST:
            raise PydanticCustomError(
                "too_many_days", "it must be {longest} days after since at most", {"longest": LONGEST}
            )
        return until

    def days(self, zone: str, asked_at: datetime) -> "Days":
        """The days that are meant, if it is asked for at this moment in an installation of this zone."""
        name = self.zone or zone
        until = self.until or self._until(asked_at.astimezone(_zone(name)).date())
        return Days(self.since or until - _DAYS * _DAY, until, name)

    def _until(self, today: date) -> date:
        """Today, unless the report is to begin later or long before: then it is a week, or as long as can be."""
        if self.since is None:
            return today
        return min(max(today, self.since + _DAY), self.since + LONGEST * _DAY)


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day of a zone: of 23 or 25 hours where its clocks are changed."""

    date: date
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Days:
    """The days of a report: `until` is behind the last one."""

    since: date
    until: date
    zone: str

    def __len__(self) -> int:
        return (self.until - self.since).days

    def __iter__(self) -> Iterator[Day]:
        zone = _zone(self.zone)
        for number in range(len(self)):
            begin = self.since + number * _DAY
            yield Day(begin, _midnight(begin, zone), _midnight(begin + _DAY, zone))


def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day: where the clocks leave midnight out, the one at which they are changed."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)
