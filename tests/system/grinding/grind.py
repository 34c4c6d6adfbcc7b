"""A kind of jobs that has no end."""

import hashlib

from pydantic import BaseModel

from infra.jobs.kinds import Job, job

#: Hashing it takes a millisecond, in which Python's own lock is free: two of these keep two cores busy.
_BLOCK = bytes(1 << 20)


class Grind(BaseModel):
    """It takes nothing."""


@job("grind", parameters=Grind, concurrency=2)
def grind(_parameters: Grind, job: Job) -> None:
    """Keep a core busy until somebody cancels it."""
    turns = int(job.resume_state or 0)
    while True:
        hashlib.sha256(_BLOCK)
        turns += 1
        job.progress(0, text=f"{turns} turns")
        if turns % 1_000 == 0:
            job.checkpoint(turns)
