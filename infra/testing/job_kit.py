"""The part of the kit that is about jobs: having them done, and letting things happen to them on the way."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from infra.subscriptions import Subscription
from infra.testing.jobs import Workshop
from infra.testing.live import Live
from infra.testing.road import Road
from infra.testing.stage import Stage
from infra.testing.told import KitError, Settled
from infra.testing.told_of_jobs import JobTold

#: Parameters of a kind all of whose parameters have a default.
_NONE: Mapping[str, Any] = {}


class JobKit(ABC):
    """What `Kit` adds to this is everything that jobs happen in."""

    _workshop: Workshop
    _stage: Stage
    _road: Road
    #: Ids of what the test itself announced.
    _own: set[str]

    @abstractmethod
    def settle(self) -> Settled:
        """Let everything happen that is due."""

    @abstractmethod
    def _members(self) -> dict[str, Subscription]:
        """Who takes part, declared."""

    def run_job(self, kind: str, parameters: Mapping[str, Any] | BaseModel = _NONE) -> JobTold:
        """Ask for a job, and let everything happen that is due.

        Raises:
            DoesNotFit, NotKnown, NotPossible: it is refused, as it would be by `POST /jobs`.
        """
        self._members()
        job_id = self._workshop.order(kind, parameters)
        self._own.add(self.job(job_id).event_id)
        self.settle()
        return self.job(job_id)

    def crash_job(self, *, after_checkpoint: int) -> None:
        """Have the process die that does the next job, once it has written so many checkpoints; another goes on.

        Raises:
            KitError: with a real broker, a worker of which is in this very process.
        """
        if isinstance(self._road, Live):
            raise KitError("kit.crash_job: a process can die in memory only: run this test without a broker.")
        self._workshop.runner.plan("crash", after_checkpoint)

    def cancel_job(self, *, after_checkpoint: int) -> None:
        """Have somebody cancel the next job, once it has written so many checkpoints."""
        self._workshop.runner.plan("cancel", after_checkpoint)

    def job(self, job_id: str) -> JobTold:
        """A job, as it is by now."""
        return self._workshop.told(job_id, self._stage)

    @property
    def jobs(self) -> list[JobTold]:
        """All jobs, the oldest first, also those that handlers started."""
        return self._workshop.all(self._stage)
