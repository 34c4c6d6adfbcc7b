"""A schedule as one replica runs it: how its events are made, and how far it has come."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from events.envelope import Event
from infra.database.schedule_tables import Schedule
from infra.database.schedules import CODE
from infra.schedules.triggers import Trigger

#: The event of a due time.
Announce = Callable[[datetime], Event]
#: Tries of a due time whose event cannot be made or written, before it is left out with a note.
TRIES = 5
#: Seconds before the second try; doubled before each further one. All tries together take less than the grace.
_AGAIN = 0.5


@dataclass(slots=True, eq=False)
class Line:
    """Belongs to the thread of the engine; while it is catching up, to the one that catches up."""

    #: What the timetable says; a change of it makes a new line.
    row: Schedule
    trigger: Trigger
    announce: Announce
    #: Every due time up to this moment is decided.
    decided: datetime
    #: The first that is not; None: there will be none.
    next_due: datetime | None = field(init=False)
    is_catching_up: bool = False
    #: Tries in a row that failed, and by the monotonic clock when the next one may follow.
    failures: int = 0
    _not_before: float = 0.0

    def __post_init__(self) -> None:
        self.come_to(self.decided)

    @property
    def name(self) -> str:
        """The schedule's."""
        return self.row.name

    def come_to(self, decided: datetime) -> None:
        """Every due time up to this moment is decided now."""
        self.decided, self.next_due = decided, self.trigger.next_after(decided)

    def is_due(self, now: datetime) -> bool:
        """Whether there is something to decide, and it may be tried."""
        waits = self.is_catching_up or self.next_due is None or self.next_due > now
        return not waits and time.monotonic() >= self._not_before

    def fail(self) -> None:
        """Remember a try that failed."""
        self.failures += 1
        self._not_before = time.monotonic() + _AGAIN * 2 ** (min(self.failures, TRIES) - 1)

    def succeed(self) -> None:
        """Forget the failures before."""
        self.failures, self._not_before = 0, 0.0


def metric_label(row: Schedule) -> str:
    """For metrics: by name only what code made, since operators may make any number."""
    return row.name if row.origin == CODE else "by operators"
