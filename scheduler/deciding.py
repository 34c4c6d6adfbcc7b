"""What is due now: all of it is decided in one transaction, and what was due long ago is left to those who catch up."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from infra import evidence
from infra.database.engine import Database
from infra.database.schedule_runs import DUE
from infra.errors import DatabaseUnavailable
from scheduler.emitter import Hindrance, emit, tell
from scheduler.lines import TRIES, Line
from scheduler.ticks import Tick, announcing, failed

_log = structlog.get_logger(__name__)
#: A due time that is not decided for as long as this was missed: its schedule's policy says what becomes of it.
GRACE = timedelta(seconds=10)


@dataclass(slots=True)
class _Work:
    """What one line has due."""

    line: Line
    #: Up to the first that has no event and is tried again.
    ticks: list[Tick] = field(default_factory=list)


class Deciding:
    """Stateless but for the lines that it is given."""

    def __init__(self, database: Database, hindrance: Hindrance, catch_up: Callable[[Line], None]) -> None:
        self._database = database
        self._hindrance = hindrance
        self._catch_up = catch_up

    def decide(self, lines: Iterable[Line], now: datetime) -> None:
        """Decide what these lines have due.

        Raises:
            DatabaseUnavailable: nothing is decided, and the next call decides it.
        """
        work = []
        for line in lines:
            if line.is_due(now):
                if line.next_due is not None and now - line.next_due < GRACE:
                    work.append(_Work(line, _due(line, now)))
                else:
                    self._catch_up(line)
        try:
            self._write([tick for each in work for tick in each.ticks])
        except DatabaseUnavailable:
            raise
        except Exception:  # noqa: BLE001  # one of them is at fault: it must not keep the others from firing
            for each in work:
                self._write_alone(each)
        else:
            for each in work:
                _end(each)

    def _write(self, ticks: list[Tick]) -> None:
        if ticks:
            with self._database.transaction() as session:
                decided = emit(session, ticks, self._hindrance)
            tell(decided)

    def _write_alone(self, work: _Work) -> None:
        try:
            self._write(work.ticks)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # an event that is too large, say
            _fail(work.line, error)
            if work.line.failures < TRIES:
                return
            work.ticks = [failed(work.line, tick.due, DUE, error) for tick in work.ticks]
            self._write(work.ticks)
        _end(work)


def _due(line: Line, now: datetime) -> list[Tick]:
    ticks: list[Tick] = []
    for due in line.trigger.between(line.decided, now):
        try:
            ticks.append(announcing(line, due, DUE))
        except Exception as error:  # noqa: BLE001  # whatever the schedule's function raises
            _fail(line, error)
            if line.failures < TRIES:
                break
            ticks.append(failed(line, due, DUE, error))
    return ticks


def _end(work: _Work) -> None:
    if work.ticks:
        work.line.come_to(work.ticks[-1].due)
        if work.ticks[-1].event is not None:
            work.line.succeed()


def _fail(line: Line, error: Exception) -> None:
    line.fail()
    if line.failures <= TRIES:  # a schedule that stays broken is told of once
        found = evidence.gather(error, "scheduler")
        _log.error("fire failed", schedule=line.name, tries=line.failures, error=found.exception, where=found.frame)
