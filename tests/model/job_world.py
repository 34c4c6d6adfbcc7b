"""Jobs in two processes that may die, freeze or stop in the middle of one: our own code, a model of the broker."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel
from sqlalchemy import func, insert, select, update

from infra import owners
from infra.database.engine import Database
from infra.database.job_tables import Job as JobRow
from infra.database.job_tables import JobFile
from infra.database.tables import Effect, table
from infra.delivery import Deliveries
from infra.effects import Intent
from infra.errors import NotPossible
from infra.failing import Failing
from infra.jobs import cancelling, starting
from infra.jobs.beating import Beating, Pulse
from infra.jobs.handlers import Job
from infra.jobs.kinds import Runner, job
from infra.jobs.reconciling import Reconciling
from infra.jobs.results import Results
from infra.jobs.running import Running
from infra.jobs.storing import Folder, WithSmall
from infra.retrying import Retry
from infra.subscriptions import Subscription, forget, recorded
from tests.model.broker import Item
from tests.model.processes import addressed
from tests.model.world import _JOURNAL, EFFECT, HANDLER, Key, World

_JOB, _FILE, _EFFECT = table(JobRow), table(JobFile), table(Effect)
#: Kinds: one whose jobs are many, and one that has one at a time with the same parameters.
WORK, SOLE = "model-work", "model-sole"
KINDS = (WORK, SOLE)
STEPS = 3
#: What may happen while a job is at work, beside what happens to any handler.
CANCELLED, CANCELLED_AND_SEEN, STOPPED = "cancelled", "cancelled and seen", "stopped"
#: A second copy comes to the other process, which must leave the job alone; or must take it, for the lease is over.
COPY, COPY_AFTER_THE_LEASE = "a copy comes", "a copy comes after the lease"
FINAL = frozenset({"succeeded", "cancelled"})


class Task(BaseModel):
    """Parameters; those of a few jobs are the same."""

    number: int


def work(parameters: Task, job: Job) -> str:
    """Whatever the world of this moment wants."""
    return JobWorld.current.work(job)


@contextmanager
def kinds() -> Iterator[None]:
    """Meanwhile there are both kinds."""
    retry = Retry(delays=(5, 30))
    job(WORK, parameters=Task, result="text/plain", retry=retry)(work)
    job(SOLE, parameters=Task, result="text/plain", retry=retry, unique="refuse")(work)
    try:
        yield
    finally:
        for name in KINDS:
            forget(name)


class Beats(Beating):
    """Beats when it is told to, and not by itself."""

    @contextmanager
    def kept(self, pulse: Pulse) -> Iterator[None]:
        self._pulses.add(pulse)
        try:
            yield
        finally:
            self._pulses.discard(pulse)

    def now(self) -> None:
        self._beat(list(self._pulses))


@dataclass(frozen=True, slots=True)
class Script:
    """What happens before this step; before the one after the last it is the end."""

    what: str
    step: int


class JobWorld(World):
    """Two processes take turns, and one may be at work in the middle of the other's work."""

    consumers: ClassVar[tuple[str, ...]] = KINDS
    current: ClassVar["JobWorld"]

    def __init__(self, database: Database, folder: Path) -> None:
        type(self).current = self
        self._folder = folder
        self._reconciling = Reconciling(database)
        self._script: Script | None = None
        self._is_stopping = False
        #: By id: those whose function is at work now under a lease that holds.
        self.at_work: set[str] = set()
        #: What was wrong in the middle of something.
        self.wrong: list[str] = []
        #: Events whose jobs an operator had done again from the start.
        self.again: Counter[str] = Counter()
        #: Last seen in a state that is an end, by id.
        self.ended: dict[str, str] = {}
        #: Owners of processes that are not dead.
        self._alive: list[str] = []
        super().__init__(database)
        self._other = (self._mortal, self._deliveries, self._workers, self._beats)
        self.start()

    # What happens.

    def deliveries(self, database: Database) -> Deliveries:
        store = WithSmall(Folder(self._folder))
        running = Running(
            database,
            lambda job_id: Results(store, job_id, timedelta(days=7)),
            is_stopping=lambda: self._is_stopping,
        )
        self._beats = running._beating = Beats(database)
        self._alive = [*self._alive[-1:], running.owner]
        return Deliveries(
            database,
            {"mail": self._send},
            provisions={Runner: running},
            failing=Failing(database, running.failed),
            owner=running.owner,
            is_stopping=lambda: self._is_stopping,
        )

    def subscription(self, name: str) -> Subscription:
        return next(each for each in recorded() if each.consumer == name)

    def ask(self, kind: str, number: int) -> None:
        """Somebody wants a job; one of a kind that has one at a time is refused when another is open."""
        self._seen = None
        rows = [row for row in self.jobs if row.kind == kind and row.parameters["number"] == number]
        is_open = kind == SOLE and any(row.state in {"queued", "running", "retrying"} for row in rows)
        try:
            with self.database.transaction() as session:
                made = starting.order(session, kind, {"number": number}, source="/gateway", who="me", why="")
        except NotPossible:
            self._must(is_open, "a job is refused though no other is open")
            return
        self._must(made.is_new and not is_open, "a second one of a unique kind")
        event_id = next(row.event_id for row in self.jobs if row.id == made.id)
        self.registered.setdefault(made.id, []).append(event_id)

    def cancel(self, job_id: str) -> None:
        """An operator calls one off."""
        self._seen = None
        (before,) = [row for row in self.jobs if row.id == job_id]
        try:
            with self.database.transaction() as session:
                cancelling.cancel(session, job_id, source="/gateway", who="me", why="")
        except NotPossible:
            self._must(before.state in {"succeeded", "failed"}, f"cancelling is refused while {before.state}")
            return
        (after,) = [row for row in self.jobs if row.id == job_id]
        is_held = before.busy_until is not None and before.busy_until > datetime.now(UTC)
        at_once = before.state in {"queued", "retrying", "cancelled"} or not is_held
        self._must((after.state == "cancelled") == at_once, f"cancelled while {before.state}: {after.state}")

    def play(self, item: Item, script: Script) -> None:
        """Deliver it, and let that happen in the middle of the work."""
        self._script = script
        try:
            self.deliver(item, script.what if script.what in {*HANDLER, *EFFECT} else "fine")
        finally:
            self._script, self._is_stopping = None, False

    def replay(self, letter_ids: Sequence[str], *, force: bool) -> None:
        before = self.forced.copy()
        super().replay(letter_ids, force=force)
        for event_id, _ in self.forced - before:
            self.again[event_id] += 1

    def leases_end(self) -> None:
        self._seen = None
        super().leases_end()
        with self.database.transaction() as session:
            session.connection().execute(update(_JOB).values(busy_until=datetime.now(UTC)))

    def the_dead_are_known(self) -> None:
        """The system says that the processes that died are there no more."""
        self._seen = None
        gone = owners.name().split(" ")
        gone[1] = "1"
        with self.database.transaction() as session:
            for rows in (_JOB, _EFFECT):
                others = rows.c.owner.not_in(self._alive)
                session.connection().execute(update(rows).where(others).values(owner=" ".join(gone)))

    def tend(self) -> None:
        """A duty ends the jobs whose message has ended without them."""
        self._seen = None
        self._reconciling.step()

    def switch(self) -> None:
        """Go on in the other process."""
        other, self._other = self._other, (self._mortal, self._deliveries, self._workers, self._beats)
        self._mortal, self._deliveries, self._workers, self._beats = other
        self._alive.reverse()

    def _must(self, holds: bool, otherwise: str) -> None:
        """Remember what was wrong: an error inside a job's function would only be the next of its failures."""
        if not holds:
            self.wrong.append(otherwise)

    # What its function does.

    def work(self, job: Job) -> str:
        self._must(job.id not in self.at_work, "a job runs twice at once")
        self.at_work.add(job.id)
        try:
            for number in range(job.resume_state or 0, STEPS):
                self._befall(job, number)
                with job.step(number + 1) as session:
                    row = {"event_id": job.context.event_id, "consumer": f"step {number}"}  # type: ignore[attr-defined]
                    session.connection().execute(insert(_JOURNAL), row)
                    job.mail.send("welcome", to="ada@example.com")
            self._befall(job, STEPS)
            return "through"
        finally:
            self.at_work.discard(job.id)

    def _befall(self, job: Job, number: int) -> None:
        script = self._script
        if script is None or script.step != number:
            return
        self._script = None
        if script.what in {CANCELLED, CANCELLED_AND_SEEN}:
            self.cancel(job.id)
        if script.what in {CANCELLED_AND_SEEN, STOPPED}:
            self._is_stopping = script.what == STOPPED
            self._beats.now()
            job.progress(number, STEPS)
        if script.what in {COPY, COPY_AFTER_THE_LEASE}:
            self._bring_a_copy(job, script.what == COPY_AFTER_THE_LEASE)
        if script.what in HANDLER:
            raise HANDLER[script.what]

    def _bring_a_copy(self, job: Job, lease_is_over: bool) -> None:
        (original,) = [item for item in self.broker.in_flight if item.event_id == job.context.event_id]  # type: ignore[attr-defined]
        self.broker.publish(addressed(original))
        if lease_is_over:
            self.leases_end()
            self.at_work.discard(job.id)
        behaviour = self._behaviour
        self.switch()
        self.deliver(self.broker.queues[original.queue][-1])
        self.switch()
        self._behaviour = behaviour

    def _send(self, intent: Intent) -> None:
        super()._send(replace(intent, consumer=f"mail {intent.ordinal}"))

    def _is_marked(self, key: Key) -> bool:
        ordinal = int(key[1].removeprefix("mail "))
        query = select(_EFFECT.c.state).where(_EFFECT.c.event_id == key[0], _EFFECT.c.ordinal == ordinal)
        with self.database.reading() as session:
            return ["sent"] == list(session.connection().execute(query).scalars())

    # What is seen.

    @property
    def jobs(self) -> Sequence[Any]:
        with self.database.reading() as session:
            return session.connection().execute(select(_JOB).order_by(_JOB.c.id)).all()

    @property
    def files(self) -> dict[str, int]:
        """Counted files by job."""
        query = select(_FILE.c.job_id, func.count()).group_by(_FILE.c.job_id)
        with self.database.reading() as session:
            return {row[0]: int(row[1]) for row in session.connection().execute(query)}
