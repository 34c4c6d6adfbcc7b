"""The alarm clock: APScheduler wakes whoever decides when a schedule is due, and decides nothing itself."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from infra.schedules.triggers import Trigger

#: Seconds after which it rings at the latest, if for nothing. Where Python's locks wait by the wall clock (it was built
#: for an old C library), one that is set back an hour would leave the engine's thread asleep for an hour.
_AT_LEAST_EVERY = 5.0


class AlarmClock:
    """One alarm for each schedule, kept in memory: when nobody is there to hear it, the next look finds what is due."""

    def __init__(self, ring: Callable[[list[str]], None]) -> None:
        """Remember; `ring` is called in the event loop, once for all the schedules that are due at the same moment."""
        self._scheduler = AsyncIOScheduler(
            timezone="UTC",
            executors={"default": _Bell(ring)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._ring = ring
        self._loop: asyncio.AbstractEventLoop | None = None
        self._set_for: Mapping[str, Trigger] = {}

    @property
    def is_running(self) -> bool:
        """Whether it will ring."""
        return bool(self._scheduler.running)

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._scheduler.start()
        self._ring_regularly(self._loop)

    def stop(self) -> None:
        """Ring no more."""
        self._scheduler.shutdown(wait=False)

    def set(self, triggers: Mapping[str, Trigger]) -> None:
        """Ring for these schedules and no others; another trigger object sets an alarm anew. From any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(partial(self._set, dict(triggers)))

    def _ring_regularly(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._scheduler.running:
            self._ring([])
            loop.call_later(_AT_LEAST_EVERY, self._ring_regularly, loop)

    def _set(self, triggers: Mapping[str, Trigger]) -> None:
        if not self._scheduler.running:
            return
        before, self._set_for = self._set_for, triggers
        for name in before.keys() - triggers.keys():
            self._forget(name)
        for name, trigger in triggers.items():
            if before.get(name) is not trigger:
                self._forget(name)
                self._scheduler.add_job(_rung, _NextDue(trigger), id=name, name=name)

    def _forget(self, name: str) -> None:
        if self._scheduler.get_job(name) is not None:  # one that is never due again has gone by itself
            self._scheduler.remove_job(name)


class _NextDue(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """The next due time after now; what was due before is not gone through, however much it is."""

    def __init__(self, trigger: Trigger) -> None:
        self._trigger = trigger
        self._next: datetime | None = None

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime | None:
        """Asked by APScheduler, twice for each alarm."""
        if self._next is None or self._next <= now:
            self._next = self._trigger.next_after(now)
        return self._next


class _Bell(BaseExecutor):  # type: ignore[misc]
    """An APScheduler executor that collects what is due at one moment."""

    def __init__(self, ring: Callable[[list[str]], None]) -> None:
        super().__init__()
        self._ring = ring
        self._due: list[str] = []

    def submit_job(self, job: Job, run_times: Sequence[datetime]) -> None:  # noqa: ARG002  # the ledger tells them
        """Called by APScheduler for each job that is due, one after the other."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._all)
        self._due.append(job.id)

    def _do_submit_job(self, job: Job, run_times: Sequence[datetime]) -> None:
        raise NotImplementedError("submit_job does it all")

    def _all(self) -> None:
        due, self._due = self._due, []
        self._ring(due)


def _rung() -> None:
    """What APScheduler believes that it calls."""
