"""A small job: a hash."""

from infra.jobs.kinds import Job, job
from tests.bench.jobs import digesting
from tests.bench.jobs.digesting import KIND, Digest, Digested


@job(KIND, parameters=Digest, result=Digested, concurrency=32)
def digest(parameters: Digest, job: Job) -> Digested:
    """Hash what is asked for."""
    return Digested(number=parameters.number, digest=digesting.digest(parameters.number, parameters.size))
