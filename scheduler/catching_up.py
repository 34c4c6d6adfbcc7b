"""What was due while nobody was there: the schedule's policy says what is announced of it, and a row tells of the rest.

It is worked out in a thread of its own, outside of any transaction, for a year of minutes takes seconds; then the
schedule's row is locked and the ledger read once more, so that of several replicas one decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from queue import SimpleQueue
from threading import Thread

import structlog
from sqlmodel import Session

from infra import metrics
from infra.database import schedule_gaps, schedule_runs, schedules
from infra.database.engine import Database
from infra.database.schedule_runs import MISSED
from infra.database.schedule_tables import Schedule
from infra.relaying.trouble import Trouble
from infra.schedules.triggers import Trigger
from scheduler.deciding import GRACE
from scheduler.emitter import Hindrance, emit, tell
from scheduler.lines import Line, metric_label
from scheduler.ticks import Tick, announcing, failed, left_out

_log = structlog.get_logger(__name__)
#: What becomes of a gap; the third is `all`.
SKIP, LATEST = "skip", "latest"
#: Due times that are announced in one transaction, so that others need not wait for long; a gap of more is several.
SLICE = 500


class _Then(Enum):
    """What follows when one gap of a line was looked for."""

    #: It was found, and there may be another.
    MORE = auto()
    #: There is none any more: from here on the line is decided as it comes.
    GOES_ON = auto()
    #: The line is not the schedule's any more, or could not be looked at.
    IS_OVER = auto()


@dataclass(frozen=True, slots=True)
class Gap:
    """What a policy makes of a span in which nothing was decided."""

    #: The span: after this moment, up to this due time.
    since: datetime
    last: datetime
    first: datetime
    due: int
    #: Which of them are announced after all, ascending.
    fires: list[datetime]


def survey(trigger: Trigger, row: Schedule, since: datetime, now: datetime) -> Gap | None:
    """The gap after the moment up to which all is decided; None when what is due is younger than the grace."""
    first = trigger.next_after(since)
    if first is None or now - first < GRACE:
        return None
    # Who skips what was missed still announces what is only a little late.
    upto = now - GRACE if row.missed == SKIP else now
    most = {SKIP: 0, LATEST: 1}.get(row.missed, row.missed_limit)
    fires = trigger.newest(since, upto, most)
    last = fires[SLICE - 1] if len(fires) > SLICE else trigger.last_upto(upto) or first
    return Gap(since, last, first, trigger.count(since, last), fires[:SLICE])


def decided_upto(session: Session, row: Schedule, now: datetime) -> datetime:
    """The moment up to which all of a schedule's due times are decided, by the ledger."""
    newest = schedule_runs.newest_due(session, upto=now, names=[row.name])
    return max(newest.get(row.name, row.counts_from), row.counts_from)


class CatchingUp:
    """Decides gaps, one after the other."""

    def __init__(
        self,
        database: Database,
        hindrance: Hindrance,
        *,
        clock: Callable[[], datetime],
        done: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Remember; `done` is told the name of each line that goes on."""
        self._database = database
        self._hindrance = hindrance
        self._clock = clock
        self._done = done
        self._trouble = Trouble("catching up")
        self._is_ending = False
        self._lines: SimpleQueue[Line | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="catching-up", daemon=True)

    def start(self) -> None:
        """Begin to work off what is `put`."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End after the present gap; one that takes long is not waited for."""
        self._is_ending = True
        self._lines.put(None)
        self._thread.join(seconds)

    def put(self, line: Line) -> None:
        """Have a line's gap decided; until then the line is this thread's."""
        line.is_catching_up = True
        self._lines.put(line)

    def catch_up(self, line: Line) -> bool:
        """Decide the gap of a line, if there is one; False when the line is not the schedule's any more.

        Raises:
            DatabaseUnavailable: nothing is decided.
        """
        while (then := self._step(line)) is _Then.MORE:
            pass
        return then is _Then.GOES_ON

    def _step(self, line: Line) -> _Then:
        """Decide one gap, if there is one."""
        now = self._clock()
        with self._database.reading() as session:
            row = schedules.find(session, line.name)
            since = decided_upto(session, line.row, now)
        if row is None or row.version != line.row.version:
            return _Then.IS_OVER
        gap = survey(line.trigger, row, since, now)
        if gap is None:
            line.come_to(since)
            return _Then.GOES_ON
        ticks = _ticks(line, gap)
        with self._database.transaction() as session:
            decided = self._write(session, line, gap, ticks)
        if decided is not None:
            _tell(line, gap, decided)
        return _Then.MORE

    def _write(self, session: Session, line: Line, gap: Gap, ticks: list[Tick]) -> list[Tick] | None:
        """What was announced; None when something has changed since the gap was surveyed."""
        row = schedules.find(session, line.name, lock=True)
        if row is None or row.version != line.row.version or decided_upto(session, row, gap.last) != gap.since:
            return None
        decided = emit(session, ticks, self._hindrance)
        schedule_runs.count_as_missed(session, line.name, gap.last)
        fired = sum(tick.event is not None for tick in decided)
        found = schedule_gaps.new(
            schedule=line.name,
            reason=schedule_gaps.MISSED,
            first=gap.first,
            last=gap.last,
            due=gap.due,
            fired=fired,
            policy=row.missed,
        )
        schedule_gaps.add(session, found)
        return decided

    def _run(self) -> None:
        while (line := self._lines.get()) is not None and not self._is_ending:
            then = self._try(line)
            if then is _Then.MORE:
                # Behind all others: of a frequent schedule there may be more each time, as long as the machine is slow.
                self._lines.put(line)
                continue
            line.is_catching_up = False
            if then is _Then.GOES_ON:
                self._done(line.name)

    def _try(self, line: Line) -> _Then:
        try:
            then = self._step(line)
        except Exception as error:  # noqa: BLE001  # the next look of the engine puts it here again
            if not self._is_ending:
                self._trouble.tell(error)
            return _Then.IS_OVER
        self._trouble.over()
        return then


def _ticks(line: Line, gap: Gap) -> list[Tick]:
    """What stands in the ledger of it: what is announced, else the last one, so that the gap is decided."""
    ticks = [_announcing(line, due) for due in gap.fires]
    return ticks or [left_out(line, gap.last, MISSED, "It was missed: no scheduler was there.")]


def _announcing(line: Line, due: datetime) -> Tick:
    try:
        return announcing(line, due, MISSED)
    except Exception as error:  # noqa: BLE001  # whatever the schedule's function raises
        return failed(line, due, MISSED, error)


def _tell(line: Line, gap: Gap, decided: list[Tick]) -> None:
    tell(decided)
    fired = sum(tick.event is not None for tick in decided)
    metrics.SCHEDULE_MISSED.labels(metric_label(line.row)).inc(gap.due - fired)
    late = (datetime.now(UTC) - gap.first).total_seconds()
    _log.warning(
        "gap found", schedule=line.name, due=gap.due, announced=fired, policy=line.row.missed, since_s=round(late)
    )
