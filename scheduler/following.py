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
from infra.jobs import timed
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
        self._versions: dict[str, int] = {}
        #: The schedules that run, by name.
        self.lines: dict[str, Line] = {}
        #: How the events of each are made, paused ones included.
        self.announcing: dict[str, Announce] = {}
        #: Schedules that cannot run here, by name, and why; never changed in place, for other threads read it.
        self.problems: dict[str, str] = {}

    def look(self, now: datetime) -> bool:
        """Read what was changed in the table, if anything was; True if so."""
        with self._database.reading() as session:
            stamp = schedules.stamp(session)
            if stamp == self._stamp:
                return False
            versions = schedules.versions(session)
            changed = [name for name, version in versions.items() if self._versions.get(name) != version]
            rows = schedules.some(session, changed)
            newest = schedule_runs.newest_due(session, upto=now, names=changed)
        before = self.problems
        for name in [*(self._versions.keys() - versions.keys()), *changed]:
            self._drop(name)
        for row in rows:
            self._take(row, max(newest.get(row.name, row.counts_from), row.counts_from))
        for name in sorted(self.problems.keys() - before.keys()):
            _log.error("schedule cannot run", schedule=name, reason=self.problems[name])
        self._stamp = stamp  # what was changed after it was read changes it again
        return True

    def forget(self) -> None:
        """Have the next look begin anew, from the ledger."""
        self._stamp = None
        self._versions = {}
        self.lines = {}

    def _drop(self, name: str) -> None:
        for kept in (self._versions, self.lines, self.announcing):
            kept.pop(name, None)
        self.problems = {each: why for each, why in self.problems.items() if each != name}

    def _take(self, row: Row, decided: datetime) -> None:
        self._versions[row.name] = row.version
        try:
            announce = self._announcing(row)
            trigger = triggers.read(row.trigger)
        except (DoesNotFit, ValidationError) as error:
            self.problems = {**self.problems, row.name: _why(error)}
            return
        if announce is not None:
            self.announcing[row.name] = announce
            if row.paused_at is None and row.retired_at is None:
                self.lines[row.name] = Line(row, trigger, announce, decided)

    def _announcing(self, row: Row) -> Announce | None:
        """None for one of code that this program does not have: another version's, or one that is retired."""
        if row.origin != CODE and (kind := timed.kind_of(row.type)) is not None:
            return partial(timed.request, row.name, kind, dict(row.data or {}))
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
