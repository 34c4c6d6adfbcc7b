"""From a fire to the outbox: each due time is announced once, however many schedulers see it."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime

import structlog
from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlmodel import Session

from events.clock import due_id
from events.envelope import announce
from infra import metrics
from infra.database import outbox, schedule_runs
from infra.database.engine import Database
from infra.errors import DatabaseUnavailable
from infra.faults import failpoint
from scheduler.timetable import Schedule

_log = structlog.get_logger(__name__)
#: Seconds until a fire that the database did not take is tried again; the key keeps it from happening twice.
_AGAIN = 1.0
#: Tries of a fire that fails by itself, while the database is there.
_TRIES = 10
SOURCE = "/scheduler"


def emit(session: Session, schedule: Schedule, due: datetime) -> bool:
    """Announce one due time in the caller's transaction; False when another replica was first."""
    due = due.astimezone(UTC)
    event_id = due_id(schedule.name, due)
    failpoint("scheduler.before-insert", schedule.name)
    if not schedule_runs.claim_undeclared(session, schedule.name, due, event_id):
        return False
    outbox.add(session, announce(schedule.announce(due), source=SOURCE, id=event_id, time=due))
    failpoint("scheduler.after-insert", schedule.name)
    return True


class Emitter(BaseExecutor):  # type: ignore[misc]  # APScheduler ships no types
    """An APScheduler executor, since only an executor is told for which due times a job runs."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, scheduler: AsyncIOScheduler, alias: str) -> None:
        """Called by APScheduler, in its event loop."""
        super().start(scheduler, alias)
        self._loop = asyncio.get_running_loop()

    def submit_job(self, job: Job, run_times: Sequence[datetime]) -> None:
        """Called by APScheduler for each job that is due; fires of one job need not wait for one another."""
        (schedule,) = job.args
        for due in run_times:
            self._submit(schedule, due)

    def _do_submit_job(self, job: Job, run_times: Sequence[datetime]) -> None:
        raise NotImplementedError("submit_job does it all")

    def _submit(self, schedule: Schedule, due: datetime, tries: int = 1) -> None:
        future = self._database.submit(lambda session: emit(session, schedule, due))
        future.add_done_callback(lambda done: self._tell(done, schedule, due, tries))

    def _tell(self, done: Future[bool], schedule: Schedule, due: datetime, tries: int) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ended, done, schedule, due, tries)

    def _ended(self, done: Future[bool], schedule: Schedule, due: datetime, tries: int) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, DatabaseUnavailable):
            _log.warning("fire waits for the database", schedule=schedule.name, due=due.isoformat(), error=str(error))
            self._again(schedule, due, tries)
        elif error is not None:
            said = f"{type(error).__name__}: {error}"
            _log.error("fire failed", schedule=schedule.name, due=due.isoformat(), tries=tries, error=said)
            if tries < _TRIES:
                self._again(schedule, due, tries + 1)
        elif done.result():
            failpoint("scheduler.after-commit", schedule.name)
            metrics.EVENTS_ACCEPTED.labels(schedule.announce(due).TYPE).inc()

    def _again(self, schedule: Schedule, due: datetime, tries: int) -> None:
        assert self._loop is not None
        self._loop.call_later(_AGAIN * tries, self._submit, schedule, due, tries)
