"""A pass of the cleaning: in small transactions with rests between them, so that whoever else writes hardly waits."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf

import structlog

from infra import metrics
from infra.cleaning import planning
from infra.cleaning.files import Files, Steps
from infra.cleaning.planning import Task
from infra.database.engine import Database
from infra.database.walks import Place, Slice
from infra.faults import failpoint
from infra.jobs.storing import Store
from infra.retention import Retention

#: Rows that are looked at together, and that one transaction removes: some 10 ms of SQLite's one writer.
BATCH = 200
#: How long it rests after each transaction, by how long that and the look before it took: two thirds of the time, all
#: that the machine has is for others.
REST = 2.0
#: The tables that the cleaning takes rows from, each with what says how long they stay: a field of `Retention`, or
#: nothing for what was left for consumers that are gone, and for files that tries left that died.
TABLES: Mapping[str, str | None] = {
    "event_log": "event_log",
    "inbox": "inbox",
    "effect": "inbox",
    "dead_letter": "dead_letters",
    "activity": "activity",
    "schedule_run": "schedule_runs",
    "schedule_gap": "schedule_runs",
    "idempotency": "idempotency",
    "operation": "operations",
    "audit": "audit",
    "job_file": "results",
    "stray_file": None,
    "job": "jobs",
    "unsettled": None,
    "resend": None,
}

_log = structlog.get_logger(__name__)
#: Told after each transaction: the table, and its rows so far.
Tell = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a pass has removed, or would."""

    #: By table.
    removed: Mapping[str, int]
    seconds: float
    #: All was walked through; else the time was up.
    is_complete: bool
    #: Consumers because of which events stay in the log that are old enough to go.
    waits_for: list[str]


class Cleaning:
    """Removes what is older than it has to be kept; two at once, or one after a crash, do no harm."""

    def __init__(
        self, database: Database, retention: Retention, *, store: Store | None = None, ahead: timedelta = timedelta()
    ) -> None:
        """Remember; without the store of results its files stay, and the jobs that they belong to.

        `ahead` is by how much it shall be later than it is, for whoever asks what will go then.
        """
        self._database = database
        self._store = store
        self._retention = retention
        self._ahead = ahead

    def run(
        self, *, seconds: float = inf, tables: Collection[str] = TABLES, tell: Tell = lambda _, __: None
    ) -> Cleaned:
        """One pass; when so many seconds are over, a slice of each table that is left is its last."""
        began = time.monotonic()
        removed: Counter[str] = Counter()
        is_complete = True
        for name, steps in self._files(tables):
            is_complete &= self._take(name, steps, began + seconds, removed, tell)
        plan = self._plan(as_if_gone=False)
        for task in plan.tasks:
            if task.walk.table in tables:
                is_complete &= self._walk(task, began + seconds, removed, tell)
        for name, rows in (+removed).items():
            _log.info("old rows removed", table=name, rows=rows)
        return Cleaned(+removed, round(time.monotonic() - began, 3), is_complete, plan.waits_for)

    def count(self, *, tables: Collection[str] = TABLES, tell: Tell = lambda _, __: None) -> Cleaned:
        """Count what a pass would remove, the effects aside."""
        began = time.monotonic()
        plan = self._plan(as_if_gone=True)
        found: Counter[str] = Counter()
        for name, steps in self._files(tables, only_count=True):
            for rows in steps:
                found[name] += rows
                tell(name, found[name])
        for task in plan.tasks:
            if task.walk.table in tables:
                self._count(task, found, tell)
        return Cleaned(+found, round(time.monotonic() - began, 3), is_complete=True, waits_for=plan.waits_for)

    def _plan(self, *, as_if_gone: bool) -> planning.Plan:
        with self._database.reading() as session:
            return planning.draw(session, self._retention, self._now(), as_if_gone=as_if_gone)

    def _now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def _files(self, tables: Collection[str], *, only_count: bool = False) -> Iterator[tuple[str, Steps]]:
        """The files that go, which come before the jobs that they belong to."""
        if self._store is not None:
            files = Files(self._database, self._store, self._now())
            for name, steps in (("job_file", files.expired), ("stray_file", files.stray)):
                if name in tables:
                    yield name, steps(BATCH, only_count=only_count)

    def _take(self, name: str, steps: Steps, until: float, removed: Counter[str], tell: Tell) -> bool:
        """Go on with steps that remove; False when the time was up before their end."""
        began = time.monotonic()
        for rows in steps:
            if rows:
                removed[name] += rows
                metrics.ROWS_REMOVED.labels(name).inc(rows)
                failpoint("cleaning.between-batches")
                tell(name, removed[name])
                time.sleep((time.monotonic() - began) * REST)
            if time.monotonic() > until:
                return False
            began = time.monotonic()
        return True

    def _walk(self, task: Task, until: float, removed: Counter[str], tell: Tell) -> bool:
        """Go through a table; False when the time was up before its end."""
        after, began = task.first, time.monotonic()
        while (found := self._look(task, after)) is not None:
            if found.count:
                self._remove(task, found, removed)
                tell(task.walk.table, removed[task.walk.table])
                time.sleep((time.monotonic() - began) * REST)
            if time.monotonic() > until:
                return False
            after, began = found.end, time.monotonic()
        return True

    def _count(self, task: Task, found: Counter[str], tell: Tell) -> None:
        after = task.first
        while (part := self._look(task, after)) is not None:
            found[task.walk.table] += part.count
            tell(task.walk.table, found[task.walk.table])
            after = part.end

    def _look(self, task: Task, after: Place) -> Slice | None:
        with self._database.reading() as session:
            return task.walk.look(session, after, BATCH, task.values)

    def _remove(self, task: Task, found: Slice, removed: Counter[str]) -> None:
        with self._database.transaction() as session:
            rows = task.walk.remove(session, found, task.values)
        removed.update(rows)
        for name, number in rows.items():
            metrics.ROWS_REMOVED.labels(name).inc(number)
        failpoint("cleaning.between-batches")
