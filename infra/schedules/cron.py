"""A line of cron in a time zone, with Debian's rules for the days on which the clocks are changed."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from infra import zones
from infra.schedules.dues import LocalDues
from infra.schedules.wall_clock import Moments

_LINE = re.compile(r"[0-9A-Za-z*,/#\- ]+")
#: From where a first time is looked for. cronsim gives up after 50 years, within which every date and weekday meet.
_SEARCHED_FROM = datetime(2000, 1, 1)  # noqa: DTZ001  # as a wall clock shows it
_FIELDS = "minute, hour, day of the month, month, day of the week (and the second before them, if you like)"


class Line:
    """The times that a wall clock shows when a line of cron matches."""

    def __init__(self, line: str) -> None:
        self._line = line

    def after(self, wall: datetime) -> Iterator[datetime]:
        """Those after this one, ascending; lazy."""
        return CronSim(self._line, wall)

    def before(self, wall: datetime) -> Iterator[datetime]:
        """Those before this one, descending; lazy."""
        return CronSim(self._line, wall, reverse=True)


def _check(given: str) -> str:
    line = " ".join(given.split())
    if not _LINE.fullmatch(line):
        raise PydanticCustomError("cron", "a line of cron is: {fields}", {"fields": _FIELDS})
    try:
        first = next(Line(line).after(_SEARCHED_FROM), None)
    except (CronSimError, ValueError, AssertionError) as error:
        said = str(error).lower() or "it makes no sense"
        message = "this cron cannot be read ({said}); its fields are: {fields}"
        raise PydanticCustomError("cron", message, {"said": said, "fields": _FIELDS}) from None
    if first is None:
        raise PydanticCustomError("cron", "no day is ever like this")
    return line


class Cron(LocalDues):
    """`{"cron": "30 2 * * MON-FRI", "zone": "Europe/Berlin"}`: five fields, or six that begin with the second."""

    cron: Annotated[str, Field(max_length=120), AfterValidator(_check)]
    zone: zones.Zone = "UTC"

    @property
    def words(self) -> str:
        """`at 02:30 on Monday through Friday, Europe/Berlin`."""
        said = CronSim(self.cron, _SEARCHED_FROM).explain()
        return f"{said[:1].lower()}{said[1:]}, {self.zone}"

    @property
    def moments(self) -> Moments:
        """When the clocks of its zone show it."""
        minute, hour = self.cron.split()[-5:-3]
        at_fixed_times = not (minute.startswith("*") or hour.startswith("*"))
        return Moments(Line(self.cron), zones.find(self.zone), once=at_fixed_times)
