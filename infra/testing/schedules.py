"""A timetable by the test's clock: each due time is announced once, as the scheduler does it."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

from events.clock import due_id
from events.envelope import Envelope, Event, announce


class Trigger(Protocol):
    """When it is due."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time after a moment."""


class Schedule(Protocol):
    """What the kit asks of a line of a timetable."""

    @property
    def name(self) -> str:
        """Durable: it is part of the ids of the events."""

    @property
    def trigger(self) -> Any:
        """A `Trigger`."""

    @property
    def announce(self) -> Callable[[datetime], Event]:
        """The event of a due time."""


class Timetable:
    """Begins when it is given, and knows how far it has come."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[Schedule, datetime]] = {}

    def add(self, schedules: Iterable[Schedule]) -> None:
        """From now on these are due, too."""
        for each in schedules:
            self._lines[each.name] = (each, datetime.now(UTC))

    @property
    def next_due(self) -> datetime | None:
        """When the next one is due."""
        return min((due for due in map(_next, self._lines.values()) if due is not None), default=None)

    def take_due(self) -> list[Envelope]:
        """The events of all due times up to now that were not given before, in their order."""
        events = []
        while (due := self.next_due) is not None and due <= datetime.now(UTC):
            for name, (schedule, at) in self._lines.items():
                if _next((schedule, at)) == due:
                    self._lines[name] = (schedule, due)
                    source, own_id = "/scheduler", due_id(name, due)
                    events.append(announce(schedule.announce(due), source=source, id=own_id, time=due))
        return events


def _next(line: tuple[Schedule, datetime]) -> datetime | None:
    schedule, at = line
    trigger: Trigger = schedule.trigger
    return trigger.next_after(at)
