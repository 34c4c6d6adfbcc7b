"""Jobs of some seconds: one that waits for others, and one that computes."""

import hashlib
import threading

from pydantic import BaseModel

from infra.jobs.kinds import Job, job

#: Parts of either job, after each of which it says how far it is.
PARTS = 100


class Long(BaseModel):
    """How much there is to do in each part: milliseconds to wait, or hashes of 64 KiB to compute."""

    each: int


@job("bench-waiting", parameters=Long)
def wait(parameters: Long, job: Job) -> None:
    """Do nothing but wait."""
    over = threading.Event()
    for part in range(PARTS):
        over.wait(parameters.each / 1_000)
        job.progress(part + 1, PARTS)


@job("bench-computing", parameters=Long)
def compute(parameters: Long, job: Job) -> None:
    """Keep a processor busy."""
    piece = bytes(65_536)
    for part in range(PARTS):
        for _ in range(parameters.each):
            piece = hashlib.sha256(piece).digest() * 2_048
        job.progress(part + 1, PARTS)
