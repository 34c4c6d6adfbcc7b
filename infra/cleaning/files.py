"""Files of jobs that go: those whose time is over, and those that no row counts, as their try died."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

import structlog

from infra.database import job_files
from infra.database.engine import Database
from infra.jobs.storing import Store, job_of

#: How long a file may lie there before a row counts it; as long as its job runs it stays, too.
STRAY = timedelta(days=1)
#: What is told once for each step: how many files went, or would go.
Steps = Iterator[int]

_log = structlog.get_logger(__name__)


class Files:
    """Looks through the store and its rows. A file goes before its key does: if this dies between, it begins anew."""

    def __init__(self, database: Database, store: Store, now: datetime) -> None:
        self._database = database
        self._store = store
        self._now = now

    def expired(self, most: int, *, only_count: bool = False) -> Steps:
        """Files whose time is over; their rows stay without a key, and say that they were there."""
        found: list[job_files.Expired] = []
        while found := self._expired(found[-1] if found else None, most):
            yield len(found) if only_count else self._remove_expired({file.key: file.job_id for file in found})

    def stray(self, most: int, *, only_count: bool = False) -> Steps:
        """Files that no row counts, and drafts."""
        keys = self._store.keys(self._now - STRAY)
        while some := [*islice(keys, most)]:
            stray = self._stray(some)
            yield len(stray) if only_count else len(self._remove(stray))

    def _expired(self, after: job_files.Expired | None, most: int) -> list[job_files.Expired]:
        with self._database.reading() as session:
            return job_files.expired(session, self._now, after, most)

    def _remove_expired(self, files: dict[str, str]) -> int:
        removed = self._remove([*files])
        with self._database.transaction() as session:
            return job_files.removed(session, {key: files[key] for key in removed})

    def _stray(self, keys: Sequence[str]) -> list[str]:
        jobs = {job_of(key) for key in keys}
        with self._database.reading() as session:
            # In this order: a job that ends between the two has counted its files.
            at_work = job_files.at_work(session, jobs)
            counted = job_files.stored(session, jobs)
        return [key for key in keys if key not in counted and job_of(key) not in at_work]

    def _remove(self, keys: Sequence[str]) -> list[str]:
        """Those that are there no more; of the others the next pass tries again."""
        removed = []
        for key in keys:
            try:
                self._store.remove(key)
            except OSError as error:
                _log.warning("a file of a result cannot be removed", key=key, reason=error.strerror)
            else:
                removed.append(key)
        return removed
