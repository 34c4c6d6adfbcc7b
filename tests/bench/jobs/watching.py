"""What became of the jobs, as seen from outside: rows in the side's own database."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from tests.bench.effects import LOOK, STUCK, Effects
from tests.bench.jobs.sides import JobSide
from tests.bench.load import Posted


class Watch:
    """Looks at one database; each phase of a run counts what is new since it began."""

    def __init__(self, database: str, side: JobSide) -> None:
        self._engine = create_engine(database, poolclass=NullPool)
        self._side = side
        self._before = 0

    def begin(self) -> None:
        """Count from now."""
        self._before += self._done()

    def wait(self, posted: Sequence[Posted], alive: Callable[[], None]) -> Effects:
        """Until each accepted job is through, or nothing moves any more."""
        accepted = sum(one.status == 202 for one in posted)
        first, seen, moved_at = 0.0, 0, time.time()
        while seen < accepted and time.time() - moved_at < STUCK:
            if (found := self._done()) != seen:
                seen, moved_at = found, time.time()
                first = first or moved_at
            alive()
            time.sleep(LOOK)
        return Effects(first or moved_at, moved_at, {}, self._differences(posted, accepted))

    def _differences(self, posted: Sequence[Posted], accepted: int) -> list[str]:
        done, failed, wrong = self._done(), self._ask(self._side.done[1]), self._ask(self._side.wrong)
        refused = Counter(one.status for one in posted if one.status != 202)
        found = {
            "jobs not through": max(0, accepted - done),
            "jobs too many": max(0, done - accepted),
            "jobs failed": failed,
            "jobs that took more than one try": wrong,
            **{f"POSTs answered {status or 'nothing'}": count for status, count in refused.items()},
        }
        return [f"{count} {what}" for what, count in found.items() if count]

    def _done(self) -> int:
        return self._ask(self._side.done[0]) - self._before

    def _ask(self, query: str) -> int:
        try:
            with self._engine.connect() as connection:
                return int(connection.execute(text(query)).scalar_one())
        except (OperationalError, ProgrammingError):  # Celery makes its table with its first result
            return 0
