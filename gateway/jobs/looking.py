"""Looks at jobs, for all who ask at the same moment: one look at the database answers everybody who asked before it."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from infra.database import jobs
from infra.database.engine import Database
from infra.database.jobs import Stored
from infra.jobs import views

#: Seconds from a look to the next one, for which all wait who ask meanwhile. Whoever asks after a pause does not wait.
PACE = 0.005
#: Jobs of one look, which on SQLite keeps the loop from all else.
MOST = 50


@dataclass(frozen=True, slots=True)
class Shown:
    """A job as it is told."""

    body: bytes
    #: Where its result is; None while there is none, or none any more.
    result: str | None


#: Those who wait for a job; None is the answer when there is no such job.
Asked = dict[str, asyncio.Future[Shown | None]]


class Looking:
    """All who ask at this gateway; for its event loop only."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: Asked = {}
        self._task: asyncio.Task[None] | None = None

    async def look(self, job_id: str) -> Shown | None:
        """A job, not older than this call; None when there is no such job.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        if (answer := self._asked.get(job_id)) is None:
            answer = self._asked[job_id] = asyncio.get_running_loop().create_future()
            answer.add_done_callback(_heard)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_on(), name="looks at jobs")
        return await asyncio.shield(answer)  # others wait for it too

    async def _look_on(self) -> None:
        """Look, as long as anybody asks."""
        while self._asked:
            # Whoever asks from here on waits for the next look: this one may have read before what they must see.
            these = list(self._asked)[:MOST]
            asked = {job_id: self._asked.pop(job_id) for job_id in these}
            await self._answer(asked)
            await asyncio.sleep(PACE)

    async def _answer(self, asked: Asked) -> None:
        try:
            # SQLite reads a row from its own memory faster than a thread is told to.
            found = self._find(asked) if self._database.is_sqlite else await asyncio.to_thread(self._find, asked)
        except Exception as error:  # noqa: BLE001  # it belongs to those who asked
            for answer in asked.values():
                answer.set_exception(error)
        else:
            for job_id, answer in asked.items():
                answer.set_result(found.get(job_id))

    def _find(self, job_ids: Collection[str]) -> dict[str, Shown]:
        with self._database.reading() as session:
            found = [jobs.find(session, job_id) for job_id in job_ids]
        return {stored.job.id: _shown(stored) for stored in found if stored is not None}


def _heard(answer: asyncio.Future[Shown | None]) -> None:
    """Those who asked may all be gone, and an error that nobody hears is no matter for the log."""
    if not answer.cancelled():
        answer.exception()


def _shown(stored: Stored) -> Shown:
    return Shown(views.as_json(stored).encode(), views.result_of(stored))
