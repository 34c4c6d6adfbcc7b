"""The engine of one replica: alarms and the table say what to look at; the ledger and the clock say what is due."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import structlog

from infra.database import schedules
from infra.database.engine import Database
from infra.database.schedules import CODE
from infra.relaying.trouble import Trouble
from infra.schedules import overlap
from scheduler.alarm import AlarmClock
from scheduler.catching_up import CatchingUp
from scheduler.deciding import Deciding
from scheduler.emitter import Hindrance
from scheduler.following import Following
from scheduler.orders import Orders
from scheduler.timetable import Schedule
from scheduler.wake_ups import WakeUps

_log = structlog.get_logger(__name__)
#: Seconds between two looks at the table, the orders and the clock, …
LOOK_EVERY = 1.0
#: … which are done in the middle of a second, for most schedules are due at its beginning.
_PHASE = 0.5
#: Seconds by which the wall clock may leave the monotonic one from look to look; beyond them it was stepped.
_STEP = 0.5
#: Seconds that each thread has to end.
_GRACE = 2.0


def _now() -> datetime:
    return datetime.now(UTC)


class Engine:
    """Its thread decides; the event loop only rings."""

    def __init__(
        self,
        database: Database,
        timetable: Iterable[Schedule],
        *,
        hindrance: Hindrance = overlap.hindrance,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._timetable = tuple(timetable)
        self._clock = clock
        self._wake_ups = WakeUps()
        self._alarm = AlarmClock(self._wake_ups.put)
        self._following = Following(database, self._timetable)
        self._orders = Orders(database, self._following)
        self._catching_up = CatchingUp(database, hindrance, clock=clock, done=lambda name: self._wake_ups.put([name]))
        self._deciding = Deciding(database, hindrance, self._catching_up.put)
        self._trouble = Trouble("scheduler")
        self._thread = Thread(target=self._run, name="engine", daemon=True)
        self._look_at = 0.0
        self._offset: float | None = None

    def declare(self) -> None:
        """Write the code's timetable down.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        definitions = [schedule.definition for schedule in self._timetable]
        self._end_old_triggers({each.name: each.trigger for each in definitions})
        declared = self._database.run(lambda session: schedules.declare(session, definitions))
        for name in declared.taken:
            _log.error("schedule left out", schedule=name, reason="An operator's schedule has this name: rename one.")
        if declared.added or declared.changed or declared.retired:
            _log.info("timetable changed", added=declared.added, changed=declared.changed, retired=declared.retired)

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._alarm.start()
        self._catching_up.start()
        self._thread.start()

    def stop(self) -> None:
        """End; what is being written is finished, what is being worked out is not."""
        self._alarm.stop()
        self._wake_ups.close()
        self._thread.join(_GRACE)
        self._catching_up.stop(_GRACE)

    @property
    def problems(self) -> dict[str, str]:
        """What keeps all schedules from firing."""
        if not (self._thread.is_alive() and self._alarm.is_running):
            return {"clock": "stopped"}
        return {} if self._trouble.problem is None else {"clock": self._trouble.problem}

    @property
    def notes(self) -> dict[str, str]:
        """Schedules that cannot run here, and why."""
        return {f"schedule {name}": reason for name, reason in self._following.problems.items()}

    def _end_old_triggers(self, new: Mapping[str, Mapping[str, Any]]) -> None:
        """What was due by a trigger that is about to change is decided by it."""
        self._following.look(self._clock())
        for name, line in self._following.lines.items():
            if name in new and line.row.origin == CODE and line.row.trigger != new[name]:
                self._catching_up.catch_up(line)
        self._following.forget()

    def _run(self) -> None:
        while True:
            due = self._wake_ups.take(max(0.0, self._look_at - time.monotonic()))
            if self._wake_ups.is_closed:
                return
            try:
                self._turn(due)
            except Exception as error:  # noqa: BLE001  # the next look tries again
                self._trouble.tell(error)
            else:
                self._trouble.over()

    def _turn(self, due: set[str]) -> None:
        if self._was_stepped():  # first of all: how far each schedule had come was told by another clock
            self._following.forget()
            self._look_at = 0.0
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY - (time.time() - _PHASE) % LOOK_EVERY
            self._decide(due)
            self._look()
            due = set(self._following.lines)
        self._decide(due)

    def _look(self) -> None:
        if self._following.look(self._clock()):
            self._alarm.set({name: line.trigger for name, line in self._following.lines.items()})
        self._orders.look()

    def _decide(self, names: Iterable[str]) -> None:
        lines = self._following.lines
        self._deciding.decide([lines[name] for name in names if name in lines], self._clock())

    def _was_stepped(self) -> bool:
        """Then everything begins anew: what the ledger has up to now is what was decided, however far it was before."""
        now, step = self._clock(), 0.0
        before, self._offset = self._offset, now.timestamp() - time.monotonic()
        if before is not None:
            step = self._offset - before
        # A step forward and back between two looks shows only in what was decided ahead of the time.
        lines = [line for line in self._following.lines.values() if line.decided > line.row.counts_from]
        ahead = max(((line.decided - now).total_seconds() for line in lines), default=0.0)
        if abs(step) <= _STEP and ahead <= _STEP:
            return False
        _log.warning("the wall clock was stepped", seconds=round(step if abs(step) > _STEP else -ahead, 1))
        return True
