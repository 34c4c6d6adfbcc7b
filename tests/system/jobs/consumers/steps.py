"""A job of some steps: a row of the journal and a mail for each, committed with the checkpoint."""

import time
from pathlib import Path

from pydantic import BaseModel

from infra.jobs.kinds import Job, job
from tests.drill.journal import ADD

KIND = "crash-steps"
STEPS = 10


class Steps(BaseModel):
    """How it goes."""

    steps: int = STEPS
    #: Seconds that each one takes.
    pause: float = 0.0
    #: It stands still at its third step, without a look at anything, while there is no such file.
    wait_for: str = ""
    #: Its first try fails behind so many steps.
    fails_behind: int = 1_000_000


@job(KIND, parameters=Steps, result="text/plain", concurrency=4)
def go(parameters: Steps, job: Job) -> str:
    """Step by step, from where it was."""
    begun_at = job.resume_state or 0
    for number in range(begun_at, parameters.steps):
        time.sleep(parameters.pause)
        while number == 2 and parameters.wait_for and not Path(parameters.wait_for).exists():
            time.sleep(0.02)
        with job.step(number + 1) as session:
            row = {"event_id": job.id, "consumer": KIND, "subject": job.id, "number": number, "attempt": begun_at}
            session.connection().execute(ADD, {**row, "at": time.time()})
            job.mail.send("welcome", to=f"{number}.{job.id}@example.com", name="Ada")
        if job.attempt == 1 and number + 1 == parameters.fails_behind:
            raise ConnectionError("The first try fails.")
        job.progress(number + 1, parameters.steps, f"step {number + 1}")
    return f"from {begun_at}"
