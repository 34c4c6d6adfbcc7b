"""The testing kit does jobs: what is told of each, crashes and cancels at a checkpoint, and requests made by hand."""

from datetime import UTC, date, datetime
from uuid import uuid4

import pytest
from pydantic import BaseModel, Field

from events.clock import DayEnded
from events.jobs import JobRequested
from events.users import UserRegistered
from infra.errors import NotKnown, NotPossible
from infra.fitting import DoesNotFit
from infra.jobs import attaching
from infra.jobs.handlers import Job
from infra.jobs.starting import start
from infra.subscriptions import Context
from infra.testing import Kit


class Steps(BaseModel):
    steps: int = Field(default=3, ge=1)


class Done(BaseModel):
    steps: int


def working(kit: Kit) -> list[int]:
    """A kind that goes step by step; gives the list of those that it did."""
    did: list[int] = []

    @kit.kind("stepping", parameters=Steps, result=Done)
    def step(parameters: Steps, job: Job) -> Done:
        for number in range(job.resume_state or 0, parameters.steps):
            did.append(number)
            job.mail.send("welcome", to=f"step{number}@example.com", name="Ada")
            job.checkpoint(number + 1)
            job.progress(number + 1, of=parameters.steps, text=f"step {number}")
        return Done(steps=parameters.steps)

    return did


def test_all_of_a_job_is_told(kit: Kit) -> None:
    working(kit)
    told = kit.run_job("stepping", Steps(steps=2))
    assert ("succeeded", {"steps": 2}, 1, None) == (told.state, told.result, told.attempts, told.error)
    assert ([(0.5, "step 0"), (1.0, "step 1")], [1, 2], [None]) == (told.progress, told.checkpoints, told.resumed)
    assert ["step0@example.com", "step1@example.com"] == [mail.to for mail in told.mails]
    assert ["mail", "mail"] == [effect.kind for effect in told.effects]
    assert {"stepping.json": {"steps": 2}} == told.files
    assert [told.id] == [job.id for job in kit.jobs]
    assert [] == kit.published  # the request was the test's own


def test_a_mail_says_which_files_go_with_it(kit: Kit) -> None:
    @kit.kind("mailing", parameters=Steps)
    def send(parameters: Steps, job: Job) -> None:
        with job.file("letter.txt", "text/plain") as file:
            file.write(b"Dear Ada")
        attaching.send(job, "welcome", to="ada@example.com", files=["letter.txt"], name="Ada")

    (mail,) = kit.run_job("mailing").mails
    assert ("ada@example.com", ["letter.txt"]) == (mail.to, mail.files)


def test_what_it_publishes_names_the_request_as_its_cause(kit: Kit) -> None:
    @kit.kind("publishing", parameters=Steps)
    def publish(parameters: Steps, job: Job) -> None:
        job.publish(DayEnded(day=date(2026, 11, 25)))
        job.checkpoint(None)
        job.publish(DayEnded(day=date(2026, 11, 26)))

    told = kit.run_job("publishing")
    assert [("day.ended", told.event_id)] * 2 == [(event.type, event.causation_id) for event in told.published]


@pytest.mark.parametrize(("after", "resumed", "did"), [(0, [None, None], [0, 1, 2]), (2, [None, 2], [0, 1, 2])])
def test_a_job_whose_process_dies_goes_on_from_its_checkpoint(
    kit: Kit, after: int, resumed: list[int | None], did: list[int]
) -> None:
    done = working(kit)
    kit.crash_job(after_checkpoint=after)
    told = kit.run_job("stepping")
    assert ("succeeded", resumed, did, 1) == (told.state, told.resumed, done, told.attempts)
    assert [f"step{number}@example.com" for number in range(3)] == [mail.to for mail in told.mails]


def test_a_coroutine_dies_as_well_and_nothing_in_it_can_catch_that(kit: Kit) -> None:
    @kit.kind("waiting", parameters=Steps)
    async def wait(parameters: Steps, job: Job) -> None:
        try:
            job.checkpoint((job.resume_state or 0) + 1)
        except Exception:
            job.log.exception("caught")

    kit.crash_job(after_checkpoint=1)
    told = kit.run_job("waiting")
    assert ("succeeded", [None, 1], [1, 2]) == (told.state, told.resumed, told.checkpoints)


def test_what_was_done_after_the_last_checkpoint_is_done_again(kit: Kit) -> None:
    seen: list[int] = []

    @kit.kind("crashing", parameters=Steps)
    def crash(parameters: Steps, job: Job) -> None:
        seen.append(job.resume_state or 0)
        job.checkpoint(1)
        with job.file("draft.txt", "text/plain") as file:
            file.write(b"new")
        job.checkpoint(2)

    kit.crash_job(after_checkpoint=1)
    told = kit.run_job("crashing")
    assert ([0, 1], {"draft.txt": "new"}) == (seen, told.files)


def test_one_who_is_cancelled_half_way_ends_at_its_next_look(kit: Kit) -> None:
    did = working(kit)
    kit.cancel_job(after_checkpoint=1)
    told = kit.run_job("stepping")
    assert ("cancelled", [0], None, {}) == (told.state, did, told.result, told.files)
    assert "Cancelled by operator." == told.error


def test_a_failure_is_told_with_its_trace_and_its_next_try_comes_in_time(kit: Kit) -> None:
    @kit.kind("failing", parameters=Steps, result="text/plain")
    async def fail(parameters: Steps, job: Job) -> str:
        if job.attempt == 1:
            raise ConnectionError("away")
        return "there"

    told = kit.run_job("failing")
    assert ("retrying", 5, "ConnectionError: away") == (told.state, told.retry_in, told.error)
    assert "<job failing, try 1: retrying: ConnectionError: away>" == told.state.story.splitlines()[0]
    assert 'raise ConnectionError("away")' in told.state.story
    kit.advance(seconds=5)
    assert ("succeeded", "there", 2, None) == (
        kit.job(told.id).state,
        kit.job(told.id).result,
        kit.job(told.id).attempts,
        kit.job(told.id).retry_in,
    )


def test_a_file_is_what_its_media_type_says(kit: Kit) -> None:
    @kit.kind("filing", parameters=Steps, result="application/octet-stream")
    def write(parameters: Steps, job: Job) -> bytes:
        with job.file("b.json", "application/json") as file:
            file.write(b"[1]")
        with job.file("c.txt", "text/plain; charset=utf-8") as file:
            file.write("ä".encode())
        return b"\x00"

    assert [b"\x00", [1], "ä"] == list(kit.run_job("filing").files.values())


def test_a_request_that_is_made_by_hand_has_a_job_too(kit: Kit) -> None:
    working(kit)
    first = JobRequested(job_id=uuid4(), kind="stepping", parameters={"steps": 1})
    assert "handled" == kit.deliver(first, to="stepping").state
    second = JobRequested(job_id=uuid4(), kind="stepping", parameters={"steps": "many"})
    kit.publish(second)
    kit.settle()
    failed = kit.job(str(second.job_id))
    assert ("succeeded", "failed") == (kit.job(str(first.job_id)).state, failed.state)
    assert ["stepping"] == [letter.consumer for letter in kit.dead]
    assert "steps" in str(failed.error)


def test_a_handler_of_the_test_may_start_a_job_of_the_test(kit: Kit) -> None:
    working(kit)

    @kit.subscribe("starting", to=UserRegistered)
    def order(event: UserRegistered, context: Context) -> None:
        start(context, "stepping", Steps(steps=1))

    kit.publish(UserRegistered(user_id=uuid4(), name="Ada", email="ada@example.com"))
    kit.settle()
    assert [("stepping", "succeeded", {"steps": 1})] == [(job.kind, job.state, job.result) for job in kit.jobs]


def test_what_a_post_would_be_refused_is_refused(kit: Kit) -> None:
    @kit.kind("alone", parameters=Steps, unique="refuse")
    def wait(parameters: Steps, job: Job) -> None:
        raise ConnectionError("away")

    first = kit.run_job("alone")
    with pytest.raises(NotPossible, match=first.id):
        kit.run_job("alone")
    with pytest.raises(DoesNotFit, match=r"parameters\.steps: This must be at least 1"):
        kit.run_job("alone", {"steps": 0})
    with pytest.raises(NotKnown, match="there are alone"):
        kit.run_job("together")


def test_time_stands_still_while_a_job_works(kit: Kit) -> None:
    moments: list[datetime] = []

    @kit.kind("looking", parameters=Steps)
    def look(parameters: Steps, job: Job) -> None:
        moments.extend((job.requested_at, datetime.now(UTC)))

    kit.run_job("looking")
    assert [kit.clock.now] * 2 == moments
