"""Looks at jobs: shared by those who ask at the same moment, and never older than anybody's question."""

import asyncio
from contextlib import suppress
from uuid import uuid4

import pytest

from gateway.jobs.looking import Looking, Shown
from infra.database import jobs
from infra.database.engine import Database
from infra.errors import DatabaseUnavailable
from tests import jobrows
from tests.infra.recovery.test_sweep_cost import statements
from tests.kinds import change

pytestmark = pytest.mark.anyio
#: Who ask at a time.
CROWD = 20


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def made(database: Database) -> str:
    job_id = str(uuid4())
    jobrows.write(database, job_id, "tested", str(uuid4()), "running")
    return job_id


def progress(shown: Shown | None) -> float:
    assert shown is not None
    return float(shown.body.partition(b'"progress":')[2].partition(b",")[0])


async def test_all_who_ask_at_once_cost_the_database_as_much_as_one(database: Database) -> None:
    job_id, looking = made(database), Looking(database)
    with statements(database) as for_one:
        await looking.look(job_id)
    with statements(database) as for_all:
        answers = await asyncio.gather(*(looking.look(job_id) for _ in range(CROWD)))
    assert (for_one, {0.0}) == (for_all, {progress(each) for each in answers})


async def test_no_answer_is_older_than_its_question(database: Database) -> None:
    job_id, looking, committed = made(database), Looking(database), 0
    seen: list[float] = []

    async def ask() -> None:
        while committed < 100:
            before = committed
            seen.append(progress(await looking.look(job_id)) - before)

    async def work() -> None:
        nonlocal committed
        for step in range(1, 101):
            await asyncio.to_thread(change, database, job_id, progress=float(step))
            committed = step

    await asyncio.gather(work(), *(ask() for _ in range(CROWD)))
    assert len(seen) >= CROWD
    assert 0.0 <= min(seen)


async def test_each_is_told_of_the_job_that_it_asked_for(database: Database) -> None:
    first, second, looking = made(database), made(database), Looking(database)
    change(database, second, progress=0.5)
    found = await asyncio.gather(*(looking.look(each) for each in (first, second, str(uuid4()))))
    assert (0.0, 0.5, None) == (progress(found[0]), progress(found[1]), found[2])


async def test_who_leaves_takes_nobodys_answer_along(database: Database) -> None:
    job_id, looking = made(database), Looking(database)
    first, second = (asyncio.create_task(looking.look(job_id)) for _ in range(2))
    await asyncio.sleep(0)  # both have asked
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    assert 0.0 == progress(await second)


async def test_when_the_database_is_away_all_who_ask_are_told_and_the_next_is_answered(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise DatabaseUnavailable("It is away.")

    job_id, looking = made(database), Looking(database)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "find", away)
        told = await asyncio.gather(*(looking.look(job_id) for _ in range(CROWD)), return_exceptions=True)
    assert {DatabaseUnavailable} == {type(each) for each in told}
    assert 0.0 == progress(await looking.look(job_id))
