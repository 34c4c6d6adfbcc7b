"""Daily, at a time that the clocks of a zone show."""

from collections.abc import Collection, Iterator
from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra import zones
from infra.schedules.dues import LocalDues
from infra.schedules.wall_clock import Moments

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEKDAYS: dict[Weekday, str] = {
    "mon": "Monday",
    "tue": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}
_ORDER = [*_WEEKDAYS]


class Days:
    """The times that a wall clock shows at one time of each day, or of some days of the week."""

    def __init__(self, at: time, weekdays: Collection[int]) -> None:
        self._at = at
        self._weekdays = weekdays

    def after(self, wall: datetime) -> Iterator[datetime]:
        """Those after this one, ascending; lazy."""
        return (each for each in self._from(wall.date(), 1) if each > wall)

    def before(self, wall: datetime) -> Iterator[datetime]:
        """Those before this one, descending; lazy."""
        return (each for each in self._from(wall.date(), -1) if each < wall)

    def _from(self, day: date, step: int) -> Iterator[datetime]:
        while True:
            if day.weekday() in self._weekdays:
                yield datetime.combine(day, self._at)
            day += timedelta(days=step)


def _ordered(given: tuple[Weekday, ...] | None) -> tuple[Weekday, ...] | None:
    return given and tuple(sorted(set(given), key=_ORDER.index))


class Daily(LocalDues):
    """`{"daily": "07:00", "zone": "Europe/Berlin"}`, and `"on": ["mon", "fri"]` for some days of the week.

    Once for each local day. Where the clocks go forward over this time, it comes at the first moment that exists after
    it; where they show it twice, it comes the first time.
    """

    daily: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    zone: zones.Zone = "UTC"
    on: Annotated[
        tuple[Weekday, ...] | None,
        Field(min_length=1, max_length=7, exclude_if=lambda on: on is None),
        AfterValidator(_ordered),
    ] = None

    @property
    def words(self) -> str:
        """`at 07:00 on Monday and Friday, Europe/Berlin`."""
        names = [_WEEKDAYS[day] for day in self.on or ()]
        some = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
        return f"at {self.daily}{' on ' if some else ''}{some}, {self.zone}"

    @property
    def moments(self) -> Moments:
        """When the clocks of its zone show it."""
        weekdays = {_ORDER.index(day) for day in self.on or _ORDER}
        return Moments(Days(time.fromisoformat(self.daily), weekdays), zones.find(self.zone), once=True)
