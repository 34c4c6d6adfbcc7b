"""The table of schedules, as this replica follows it: each second it looks whether anything was changed."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial

import structlog
from pydantic import ValidationError

from events.envelope import Event
from infra.database import schedule_runs, schedules
from infra.database.engine import Database
from infra.database.schedule_tables import Schedule as Row
from infra.database.schedules import CODE
from infra.fitting import DoesNotFit, event_of
from infra.schedules import triggers
from scheduler.lines import Announce, Line
from scheduler.timetable import Schedule

_log = structlog.get_logger(__name__)


class Following:
    """What runs here, and how the events of all others are made."""

    def __init__(self, database: Database, timetable: Iterable[Schedule]) -> None:
        self._database = database
        self._code = {schedule.name: schedule for schedule in timetable}
        self._stamp: tuple[int, int] | None = None
        #: The schedules that run, by name.
        self.lines: dict[str, Line] = {}
        #: How the events of each are made, paused ones included.
        self.announcing: dict[str, Announce] = {}
        #: Schedules that cannot run here, by name, and why.
        self.problems: dict[str, str] = {}

    def look(self, now: datetime) -> bool:
        """Read the table if it was changed; True if it was."""
        with self._database.reading() as session:
            stamp = schedules.stamp(session)
            if stamp == self._stamp:
                return False
            rows = schedules.everything(session)
            newest = schedule_runs.newest_due(session, upto=now)
        self._follow(rows, newest)
        self._stamp = stamp  # what was changed after it was read changes it again
        return True

    def forget(self) -> None:
        """Have the next look begin anew, from the ledger."""
        self._stamp = None
        self.lines = {}

    def _follow(self, rows: list[Row], newest: dict[str, datetime]) -> None:
        before, problems = self.lines, self.problems
        self.lines, self.announcing, self.problems = {}, {}, {}
        for row in rows:
            same = before.get(row.name)
            try:
                announce = self._announcing(row)
                trigger = triggers.read(row.trigger)
            except (DoesNotFit, ValidationError) as error:
                self.problems[row.name] = _why(error)
                continue
            if announce is None:
                continue
            self.announcing[row.name] = announce
            if same is not None and same.row.version == row.version:
                self.lines[row.name] = same
            elif row.paused_at is None and row.retired_at is None:
                decided = max(newest.get(row.name, row.counts_from), row.counts_from)
                self.lines[row.name] = Line(row, trigger, announce, decided)
        for name in sorted(self.problems.keys() - problems.keys()):
            _log.error("schedule cannot run", schedule=name, reason=self.problems[name])

    def _announcing(self, row: Row) -> Announce | None:
        """None for one of code that this program does not have: another version's, or one that is retired."""
        if row.origin != CODE:
            return partial(_given, event_of(row.type, dict(row.data or {})))
        return self._code[row.name].announce if row.name in self._code else None


def _given(event: Event, due: datetime) -> Event:  # noqa: ARG001  # the same at each due time
    return event


def _why(error: Exception) -> str:
    """In one line, without the data."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"Its trigger cannot be read ({'.'.join(map(str, first['loc']))}): another version made it?"
    return f"Its event cannot be made: {error}"
