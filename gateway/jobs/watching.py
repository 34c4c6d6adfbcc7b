"""Who watches which job: one reader of the database for all of them, which rests while nobody watches."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import structlog

from gateway.problems import Unavailable
from infra.database import job_standings
from infra.database.engine import Database
from infra.database.job_standings import Standing
from infra.errors import DatabaseUnavailable

#: Seconds between two looks.
PACE = 0.5
#: Who may watch at a time: each holds a connection.
MOST = 1_000

_log = structlog.get_logger(__name__)


class Watcher:
    """Somebody who watches one job, and is told its newest standing only, however slowly it reads."""

    def __init__(self, standing: Standing) -> None:
        #: None: there is no such job any more.
        self.standing: Standing | None = standing
        #: The program ends.
        self.is_sent_away = False
        self._news = asyncio.Event()

    def tell(self, standing: Standing | None) -> None:
        """Have it look, if there is anything new."""
        if standing != self.standing:
            self.standing = standing
            self._news.set()

    def send_away(self) -> None:
        """Have it end."""
        self.is_sent_away = True
        self._news.set()

    async def news(self, seconds: float) -> bool:
        """Wait so long for something new."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True


class Watching:
    """All that watch at this gateway; for its event loop only."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: dict[str, set[Watcher]] = {}
        self._number = 0
        self._reading: asyncio.Task[None] | None = None
        self._is_ending = False
        self._is_well = True

    @property
    def is_at_work(self) -> bool:
        """Whether the database is read at present."""
        return self._reading is not None and not self._reading.done()

    async def look(self, job_id: str) -> Standing | None:
        """Where a job stands now; None when there is no such job.

        Raises:
            Unavailable: so many watch that nobody else can.
        """
        if self._number >= MOST:
            raise Unavailable("Nobody else can watch a job here at present.", headers={"Retry-After": "5"})
        return (await asyncio.to_thread(self._read, [job_id])).get(job_id)

    @asynccontextmanager
    async def watch(self, standing: Standing) -> AsyncIterator[Watcher]:
        """Watch a job from where it stands."""
        watcher = Watcher(standing)
        self._watchers.setdefault(standing.id, set()).add(watcher)
        self._number += 1
        if self._is_ending:
            watcher.send_away()
        elif not self.is_at_work:
            self._reading = asyncio.create_task(self._read_on(), name="standings of jobs")
        try:
            yield watcher
        finally:
            self._leave(standing.id, watcher)

    def end(self) -> None:
        """Send all away, and whoever comes yet once it is told where its job stands: the program ends."""
        self._is_ending = True
        for watcher in self._all():
            watcher.send_away()

    def _leave(self, job_id: str, watcher: Watcher) -> None:
        self._number -= 1
        self._watchers[job_id].discard(watcher)
        if not self._watchers[job_id]:
            del self._watchers[job_id]
        if not self._watchers and self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _read_on(self) -> None:
        """Look, as long as anybody watches."""
        try:
            while True:
                await self._look_at_all()
                await asyncio.sleep(PACE)
        except Exception:  # noqa: BLE001  # a fault of ours: they may come again, and must not wait for ever
            _log.exception("jobs cannot be watched")
            for watcher in self._all():
                watcher.send_away()

    async def _look_at_all(self) -> None:
        asked = [*self._watchers]
        try:
            self._tell(await asyncio.to_thread(self._read, asked), asked)
        except DatabaseUnavailable:
            if self._is_well:  # told once for each time that it goes away
                _log.warning("jobs are watched again when the database is back", watchers=self._number)
            self._is_well = False
        else:
            self._is_well = True

    def _read(self, job_ids: Collection[str]) -> dict[str, Standing]:
        with self._database.reading() as session:
            return job_standings.of_each(session, job_ids)

    def _tell(self, found: dict[str, Standing], asked: Collection[str]) -> None:
        for job_id in asked:
            for watcher in self._watchers.get(job_id, ()):
                watcher.tell(found.get(job_id))

    def _all(self) -> list[Watcher]:
        return [watcher for watchers in self._watchers.values() for watcher in watchers]
