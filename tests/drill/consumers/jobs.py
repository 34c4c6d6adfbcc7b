"""Have a job done for some of those who register, step by step, each with its row in the journal."""

import time
from uuid import UUID

from pydantic import BaseModel

from events.users import UserRegistered
from infra.jobs.kinds import Job, job
from infra.jobs.starting import start
from infra.subscriptions import Context, subscribe
from tests.drill.journal import ADD
from tests.drill.working import KIND, STEPS, has_job


class Work(BaseModel):
    """For whom."""

    user_id: UUID


@subscribe("drill-asking", to=UserRegistered)
def ask(event: UserRegistered, context: Context) -> None:
    """In the delivery's own commit."""
    if has_job(event.user_id):
        start(context, KIND, Work(user_id=event.user_id))


@job(KIND, parameters=Work)
def work(parameters: Work, job: Job) -> None:
    """A checkpoint and a row for each step."""
    for number in range(job.resume_state or 0, STEPS):
        with job.step(number + 1) as session:
            row = {"event_id": job.id, "consumer": KIND, "subject": job.id, "number": number}
            session.connection().execute(ADD, {**row, "attempt": job.attempt, "at": time.time()})
        job.progress(number + 1, STEPS)
