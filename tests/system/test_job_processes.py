"""Jobs have a process of their own: what they take of the machine, and its death, are nothing to the mails."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import record
from infra.local.readiness import says_ready
from tests import latency
from tests.bench.program import descendants
from tests.installation import Installation
from tests.latency import grinding
from tests.mailbox import Mailbox
from tests.waiting import until

pytestmark = pytest.mark.system
NICENESS = 10
#: Times the median without jobs.
MOST = 1.5
ROUNDS, SAMPLES = 4, 25


@pytest.fixture(scope="module")
def sink() -> Iterator[Mailbox]:
    server = Mailbox()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, sink: Mailbox) -> Iterator[Installation]:
    """Tidings with a kind of jobs that keep a core busy each."""
    folder = tmp_path_factory.mktemp("grinding")
    running = Installation(folder, SMTP_URL=sink.url, CONSUMER_PACKAGES="tests.system.grinding")
    try:
        running.up()
        yield running
    finally:
        running.down()


def niceness(pid: int) -> int:
    """The highest among a process's threads: the system keeps one for each."""
    stats = [each.read_text().rpartition(")")[2].split() for each in Path(f"/proc/{pid}/task").glob("*/stat")]
    return max(int(fields[16]) for fields in stats)


def job_process(town: Installation) -> int:
    """The one that stands back, of the program's family."""
    (found,) = [pid for pid in descendants(town.process("consumers")["pid"]) if niceness(pid) == NICENESS]
    return found


def probe(town: Installation) -> str:
    """Where the program says whether it is ready; `status` asks there too, and takes longer than it may be away."""
    known = record.read(town.state / "local.json")
    assert known is not None
    (found,) = [each.probe for each in known.processes if each.name == "consumers"]
    assert found is not None
    return found


@pytest.mark.alone
@pytest.mark.timeout(400)
def test_mails_come_about_as_soon_while_two_jobs_keep_two_cores_busy(town: Installation, sink: Mailbox) -> None:
    found = latency.measure(town, sink, rounds=ROUNDS, samples=SAMPLES)
    if found.ratio > MOST:  # a close call, or other work on this machine: so look longer
        found += latency.measure(town, sink, rounds=2 * ROUNDS, samples=SAMPLES)
    print("LATENCY", found)  # noqa: T201
    assert found.ratio <= MOST


@pytest.mark.timeout(240)
def test_when_the_process_of_jobs_dies_it_alone_starts_again_and_its_jobs_go_on(town: Installation) -> None:
    program, before = town.process("consumers"), job_process(town)
    with grinding(town) as jobs:
        _, job = town.ask("GET", f"/jobs/{jobs[0]}")
        assert str(before) == job["worker"].rpartition("#")[2]
        os.kill(before, signal.SIGKILL)
        until(lambda: not says_ready(probe(town)), seconds=30, what="the news of it")
        town.await_ready()
        after = job_process(town)
        assert before != after
        until(
            lambda: {town.ask("GET", f"/jobs/{each}")[1]["worker"].rpartition("#")[2] for each in jobs} == {str(after)},
            seconds=60,
            what="the jobs in the next process",
        )
    assert program == town.process("consumers"), "the program is the same, and has not been restarted"


@pytest.mark.timeout(240)
def test_a_program_that_is_told_to_end_hands_its_jobs_back_and_the_next_one_goes_on_with_them(
    town: Installation,
) -> None:
    with grinding(town) as jobs:
        before = town.process("consumers")["pid"]
        os.kill(before, signal.SIGTERM)
        until(lambda: town.process("consumers")["pid"] not in {None, before}, seconds=60, what="the next program")
        town.await_ready()
        workers = {str(pid) for pid in descendants(town.process("consumers")["pid"])}
        until(
            lambda: {town.ask("GET", f"/jobs/{each}")[1]["worker"].rpartition("#")[2] for each in jobs} <= workers,
            seconds=60,
            what="the jobs in the next program",
        )
        found = [town.ask("GET", f"/jobs/{each}")[1] for each in jobs]
        assert [(1, None)] * len(jobs) == [(each["attempts"], each["error"]) for each in found], "it is the same try"
