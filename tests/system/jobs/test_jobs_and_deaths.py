"""Jobs in real worker processes that die, freeze and stop: each ends, each step is done once, none from the start."""

import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import jobs
from tests.brokers import BrokerApi
from tests.mailbox import Mailbox
from tests.system.jobs.consumers.steps import KIND, STEPS
from tests.system.jobs.site import PATIENCE, Site
from tests.waiting import until

pytestmark = pytest.mark.system
#: Far from the ports of the other tests' programs.
_PORT = 26000 + os.getpid() % 400 * 2
#: Where a worker dies, the how-manyeth time it comes by there, and the steps that are committed then.
DEATHS = (
    ("job.after-begin", 1, 0),
    ("job.before-checkpoint", 3, 2),
    ("job.after-checkpoint", 3, 5),
    ("job.before-end", 1, STEPS),
    ("job.after-end", 1, STEPS),
)
ALL = list(range(STEPS))
ONCE = Counter(ALL)
#: Each kind of database once, and each generation of the broker.
PLACES = {"sqlite": ("sqlite_url", "installed_rabbitmq"), "postgresql": ("postgres_url", "newer_rabbitmq")}


@pytest.fixture(params=PLACES)
def site(request: pytest.FixtureRequest, tmp_path: Path, mailbox: Mailbox) -> Iterator[Site]:
    url, node = (request.getfixturevalue(each) for each in PLACES[request.param])
    made = Site(tmp_path, url, BrokerApi(node), _PORT, mailbox)
    try:
        yield made
    finally:
        made.close()


def test_a_job_whose_worker_dies_everywhere_ends_and_each_step_is_done_once(site: Site) -> None:
    worker = site.workers[1]
    with site.relaying():
        asked = site.ask()
        for name, times, steps in DEATHS:
            worker.start(fault=f"{name}@{KIND}:{times}:exit")
            worker.wait(lambda: "fault injected" in worker.said(), f"the death at {name}")
            site.kill(worker)
            assert (ALL[:steps], "running") == (site.steps(asked), site.job(asked).state), name
        worker.start()
        worker.await_ready()
        site.await_end(asked)
    assert (ALL, [0, 2, 5]) == (site.steps(asked), site.begun_at(asked))
    assert (ONCE, STEPS) == (site.mails(asked), len(site.mailbox.log))
    assert 1 == site.job(asked).attempts


@pytest.mark.timeout(240)
def test_jobs_whose_workers_are_killed_at_random_end_and_each_step_is_done_once(site: Site) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    site.workers[2].start()
    site.workers[2].await_ready()
    with site.relaying():
        asked = [site.ask(pause=0.05) for _ in range(8)]
        for number in range(5):
            part = (number + 1) * 10
            until(lambda: sum(len(site.steps(each)) for each in asked) >= part, seconds=PATIENCE, what="progress")  # noqa: B023
            owners = until(lambda: site.workers_of(asked), what="a worker")
            with suppress(ProcessLookupError):  # it has not been written yet that this one is dead
                os.kill(chance.choice(owners), signal.SIGKILL)
        site.await_end(*asked)
    sys.stderr.write(f"seed {seed}: {[site.begun_at(each) for each in asked]}\n")
    assert [(ALL, ONCE)] * len(asked) == [(site.steps(each), site.mails(each)) for each in asked], seed


def test_a_worker_that_wakes_up_after_its_lease_leaves_no_trace(site: Site, tmp_path: Path) -> None:
    site.workers[2].start()
    site.workers[2].await_ready()
    with site.relaying():
        asked = site.ask(wait_for=str(tmp_path / "go"))
        until(lambda: len(site.steps(asked)) == 2, seconds=PATIENCE, what="the first steps")
        frozen = site.freeze(asked)
        for _ in range(2):  # one for each worker: the frozen one takes it, too
            site.send_again(asked)
        until(lambda: site.worker_of(asked) != frozen, seconds=PATIENCE, what="the other worker's turn")
        (tmp_path / "go").touch()
        until(lambda: site.job(asked).state == "succeeded", seconds=PATIENCE, what="the job's end")
        row = site.job(asked)
        os.kill(frozen, signal.SIGCONT)
        site.await_end(asked)
    assert (ALL, [0, 2], ONCE) == (site.steps(asked), site.begun_at(asked), site.mails(asked))
    assert row == site.job(asked)


def test_a_try_that_fails_is_followed_by_one_that_goes_on_and_one_that_is_cancelled_by_none(site: Site) -> None:
    site.workers[1].start()
    with site.relaying():
        asked, cancelled = site.ask(fails_behind=3), site.ask(steps=10_000, pause=0.02)
        until(lambda: site.job(asked).state == "retrying", seconds=PATIENCE, what="the failure")
        row = site.job(asked)
        assert ("ConnectionError: The first try fails.", {"state": 3}) == (row.error, row.checkpoint)
        until(lambda: site.job(cancelled).progress > 0, seconds=PATIENCE, what="a sign of life")
        jobs.change(site.database, cancelled, cancelled_at=datetime.now(UTC))
        until(lambda: site.job(cancelled).state == "cancelled", seconds=PATIENCE, what="the cancelled job's end")
        # What its steps have committed is done all the same.
        until(lambda: Counter(site.steps(cancelled)) == site.mails(cancelled), seconds=PATIENCE, what="its mails")
        site.await_end(asked)
    assert (ALL, [0, 3], ONCE) == (site.steps(asked), site.begun_at(asked), site.mails(asked))
    assert 2 == site.job(asked).attempts


def test_a_worker_that_is_told_to_end_hands_its_job_on(site: Site, tmp_path: Path) -> None:
    worker = site.workers[1]
    worker.start()
    with site.relaying():
        asked = site.ask(pause=0.1)
        until(lambda: len(site.steps(asked)) >= 2, seconds=PATIENCE, what="the first steps")
        assert worker._process is not None
        os.kill(int(worker._process.pid or 0), signal.SIGTERM)
        worker.exit_code()
        row, steps = site.job(asked), len(site.steps(asked))
        assert ("queued", 1, {"state": steps}) == (row.state, row.attempts, row.checkpoint)
        worker.start()
        worker.await_ready()
        site.await_end(asked)
    assert (ALL, [0, steps], ONCE) == (site.steps(asked), site.begun_at(asked), site.mails(asked))
    assert 1 == site.job(asked).attempts
