"""Jobs in a test's own process: kinds that leave nothing behind, rows and messages that ask for them, deliveries."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, Field
from sqlalchemy import func, insert, select, update

from events.envelope import Envelope, announce, encode
from events.jobs import JobRequested
from infra.database import inbox, jobs
from infra.database.engine import Database
from infra.database.job_tables import Job
from infra.database.jobs import NewJob
from infra.database.tables import Activity, table
from infra.delivery import Deliveries
from infra.effects import Intent
from infra.failing import Failing
from infra.jobs import handlers, storing
from infra.jobs.kinds import Runner, job
from infra.jobs.results import Results
from infra.jobs.running import Running
from infra.outcomes import Incoming, Outcome
from infra.settings import Settings, load
from infra.subscriptions import Subscription, forget, recorded

JOB, ACTIVITY = table(Job), table(Activity)


class Steps(BaseModel):
    """Parameters of the jobs of tests."""

    steps: int = Field(default=3, ge=1)


@contextmanager
def kind_of_jobs(handler: Callable[..., Any], name: str = "tested", **options: Any) -> Iterator[Subscription]:
    """Meanwhile there is a kind of jobs with this function."""
    job(name, **{"parameters": Steps, "result": "text/plain", **options})(handler)
    try:
        yield next(each for each in recorded() if each.consumer == name)
    finally:
        forget(name)


def ask(database: Database, kind: str = "tested", *, unique_key: str | None = None, **parameters: Any) -> Envelope:
    """A row that waits, and the event that asks for the job."""
    event = JobRequested(job_id=uuid4(), kind=kind, parameters=parameters)
    envelope = announce(event, source="/gateway")
    new = NewJob(
        id=str(event.job_id),
        kind=kind,
        parameters=parameters,
        unique_key=unique_key,
        event_id=envelope.id,
        requested_by="operator",
    )
    with database.transaction() as session:
        assert jobs.add(session, new)
    return envelope


def row_of(database: Database, envelope: Envelope) -> Any:
    """The job that an event asks for."""
    with database.reading() as session:
        return session.connection().execute(select(JOB).where(JOB.c.event_id == envelope.id)).one()


def change(database: Database, envelope: Envelope, **values: Any) -> None:
    """Write something into its row, as somebody else would."""
    with database.transaction() as session:
        session.connection().execute(update(JOB).where(JOB.c.event_id == envelope.id).values(**values))


@dataclass
class Worker:
    """What one process has that does jobs."""

    database: Database
    folder: Path
    performed: list[Intent] = field(default_factory=list)
    #: What the next effects fail with.
    failures: list[BaseException] = field(default_factory=list)
    is_stopping: bool = False

    def __post_init__(self) -> None:
        self.make()

    def make(self, **options: Any) -> None:
        """As if the process were a new one."""
        store = storing.store(self.folder.as_uri())
        options = {"interval": 0.01, "is_stopping": lambda: self.is_stopping, **options}
        self.running = Running(self.database, lambda job_id: Results(store, job_id, timedelta(days=7)), **options)
        self.deliveries = Deliveries(
            self.database,
            {"mail": self._perform},
            provisions={Runner: self.running, Database: self.database, Settings: load()},
            failing=Failing(self.database, self.running.failed),
            owner=self.running.owner,
            is_stopping=lambda: self.is_stopping,
        )

    def deliver(self, subscription: Subscription, envelope: Envelope, attempt: int = 1, **signs: Any) -> Outcome:
        """Bring it the message that asks for a job."""
        (outcome,) = self.deliveries.handler(subscription)([Incoming(encode(envelope), attempt, **signs)])
        return outcome

    def close(self) -> None:
        """End its event loops."""
        self.running.close()

    def _perform(self, intent: Intent) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.performed.append(intent)


def line(job: handlers.Job, number: int) -> dict[str, Any]:
    """A row of its own for each step, which can be there once."""
    return {"event_id": f"{job.id}/{number}", "type": "step", "subject": None, "time": job.requested_at}


def step_by_step(parameters: Steps, job: handlers.Job) -> str:
    """A row and a mail for each step, from where it was."""
    for number in range(job.resume_state or 0, parameters.steps):
        with job.step(number + 1) as session:
            session.connection().execute(insert(ACTIVITY), line(job, number))
            job.mail.send("welcome", to="ada@example.com", number=number)
        job.progress(number + 1, parameters.steps, f"step {number + 1}")
    return "through"


def count(database: Database, of: Any) -> int:
    with database.reading() as session:
        return int(session.connection().execute(select(func.count()).select_from(of)).scalar_one())


def entry(database: Database, event_id: str) -> Any:
    with database.reading() as session:
        (row,) = inbox.of_event(session, event_id)
        return row


def numbers(worker: Worker) -> list[int]:
    return [intent.arguments["values"]["number"] for intent in worker.performed]
