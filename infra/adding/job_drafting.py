"""The text of the module of a new kind of jobs and of its test, laid out as ruff has it."""

from infra.adding.drafting import called
from infra.adding.wishes import Wish

_MODULE = '''\
"""Say here in one line what such a job makes, and for whom."""

from pydantic import BaseModel, Field

from infra.jobs.kinds import Job, job


class Parameters(BaseModel):
    """What may be said by whoever asks for one."""

    steps: int = Field(default=10, ge=1, le=1_000, description="How many steps it takes.")


class Result(BaseModel):
    """What it gives."""

    steps: int


{decorator}
{define} work(parameters: Parameters, job: Job) -> Result:
    """Take some steps."""
    for step in range(job.resume_state or 0, parameters.steps):
        job.log.info("taken", step=step)
        job.checkpoint(step + 1)  # after a crash or a restart it goes on from here
        job.progress(step + 1, of=parameters.steps, text=f"step {{step + 1}}")
    return Result(steps=parameters.steps)
'''
_TEST = '''\
"""What becomes of such a job."""

from infra.testing import Kit

KIND = "{name}"


def test_it_ends_with_its_result(kit: Kit) -> None:
    told = kit.run_job(KIND, {{"steps": 3}})
    assert "succeeded" == told.state, told.error
    assert {{"steps": 3}} == told.result


def test_after_a_crash_it_goes_on_from_its_last_checkpoint(kit: Kit) -> None:
    kit.crash_job(after_checkpoint=2)
    told = kit.run_job(KIND, {{"steps": 3}})
    assert "succeeded" == told.state, told.error
    assert ([None, 2], [1, 2, 3]) == (told.resumed, told.checkpoints)
'''


def module(wish: Wish) -> str:
    """The kind's module."""
    decorator = called("@job(", [f'"{wish.name}"', "parameters=Parameters", "result=Result"], ")")
    return _MODULE.format(decorator="\n".join(decorator), define="async def" if wish.is_async else "def")


def test(wish: Wish) -> str:
    """The test beside it."""
    return _TEST.format(name=wish.name)
