"""Silent schedules: those that have not fired for more than two of their periods, though nobody paused them."""

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock

from pydantic import ValidationError
from sqlmodel import Session

from events.envelope import announce
from events.schedules import ScheduleRecovered, ScheduleStalled
from infra import metrics
from infra.database import outbox, silences
from infra.database.engine import Database
from infra.database.silences import Sign
from infra.errors import DatabaseUnavailable
from infra.schedules import triggers

#: How late a due time may be in normal life: the scheduler itself calls it missed after 10 s only.
SLACK = timedelta(seconds=15)
#: Seconds for which a schedule must be seen so: clock, machine or database may just have come back, or all of Tidings.
CONFIRM = 10.0
#: Seconds between two looks.
PAUSE = 2.5
#: Schedules that a problem names.
_NAMED = 3
SOURCE = "/consumers"
#: Event types that the duty announces.
ANNOUNCES = (ScheduleRecovered.TYPE, ScheduleStalled.TYPE)


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a schedule is silent, reckoned from its last sign of life."""

    #: The first due time after it.
    since: datetime
    #: The second one.
    at: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at all schedules found."""

    signs: Sequence[Sign]
    #: Those whose second due time is over, though perhaps since a moment only.
    overdue: Collection[str]
    #: Since when those are silent that have been overdue for a while, or are known to be silent.
    silent: dict[str, datetime]


class Watch:
    """Looks again and again; knows which schedules have been overdue for a while."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        #: Name -> version and last due time, and what follows from them.
        self._deadlines: dict[str, tuple[tuple[int, datetime], Deadline | None]] = {}
        #: Name -> last due time, and since when (monotonic) it is seen overdue after that.
        self._overdue: dict[str, tuple[datetime, float]] = {}
        self._looked_at = float("-inf")
        self._silent: dict[str, datetime] = {}

    def look(self) -> Look:
        """All signs of life, and what follows from them now.

        Raises:
            DatabaseUnavailable: nobody can tell.
        """
        with self._database.reading() as session:
            signs = silences.look(session)
        now, moment = datetime.now(UTC), time.monotonic()
        self._deadlines = {sign.name: self._reckoned(sign) for sign in signs if sign.active}
        overdue = {sign.name: found for sign in signs if (found := self._overdue_at(sign, now)) is not None}
        self._overdue = {sign.name: self._seen(sign, moment) for sign in signs if sign.name in overdue}
        silent = {
            sign.name: sign.silent_since or overdue[sign.name].since
            for sign in signs
            if sign.name in overdue and (sign.silent_since or moment - self._overdue[sign.name][1] >= CONFIRM)
        }
        return Look(signs, overdue.keys(), silent)

    def problems(self) -> dict[str, str]:
        """For readiness, which asks often and from several threads; that the database is away is told elsewhere."""
        with self._lock:
            if time.monotonic() - self._looked_at >= PAUSE:
                try:
                    self._silent = self.look().silent
                except DatabaseUnavailable:
                    return {}
                self._looked_at = time.monotonic()
            return {"schedules": told(self._silent)} if self._silent else {}

    def _reckoned(self, sign: Sign) -> tuple[tuple[int, datetime], Deadline | None]:
        key = (sign.version, sign.last)
        known = self._deadlines.get(sign.name)
        return known if known is not None and known[0] == key else (key, deadline(sign))

    def _overdue_at(self, sign: Sign, now: datetime) -> Deadline | None:
        found = self._deadlines[sign.name][1] if sign.active else None
        return found if found is not None and found.at + SLACK < now else None

    def _seen(self, sign: Sign, moment: float) -> tuple[datetime, float]:
        before = self._overdue.get(sign.name)
        return before if before is not None and before[0] == sign.last else (sign.last, moment)


def deadline(sign: Sign) -> Deadline | None:
    """When this schedule would be silent; None for one that is not due twice more, or that we cannot read."""
    try:
        trigger = triggers.read(sign.trigger)
    except ValidationError:  # of a newer version; the scheduler tells of it
        return None
    first = trigger.next_after(sign.last)
    second = None if first is None else trigger.next_after(first)
    return None if first is None or second is None else Deadline(first, second)


class Silence:
    """The duty: it writes down which schedules are silent and announces it, even when every scheduler is dead."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watch = Watch(database)

    def step(self) -> float:
        """One look at all of them, and what has changed."""
        seen = self._watch.look()
        metrics.SCHEDULES_SILENT.set(len(seen.silent))
        for sign in seen.signs:
            if sign.silent_since is None and sign.name in seen.silent:
                self._database.run(partial(_begin, sign=sign, since=seen.silent[sign.name]))
            elif sign.silent_since is not None and sign.name not in seen.overdue:
                self._database.run(partial(_end, sign=sign))
        return PAUSE


def told(silent: Iterable[str]) -> str:
    """In words, for people."""
    names = sorted(silent)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"silent for more than two periods: {', '.join(names[:_NAMED])}{more}"


def _begin(session: Session, sign: Sign, since: datetime) -> None:
    if silences.begin(session, sign.name, since):
        event = ScheduleStalled(schedule=sign.name, silent_since=since, last_due_at=sign.decided)
        outbox.add(session, announce(event, source=SOURCE))


def _end(session: Session, sign: Sign) -> None:
    if silences.end(session, sign.name) and sign.active and sign.silent_since is not None:
        event = ScheduleRecovered(schedule=sign.name, silent_since=sign.silent_since, last_due_at=sign.decided)
        outbox.add(session, announce(event, source=SOURCE))
