"""The parent of the worker processes: who is started again when one dies, and who ends."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from infra.rabbitmq import places
from infra.rabbitmq.signs import Hearing, say
from tests.programs import is_alive
from tests.waiting import until

ROOT = Path(__file__).parents[3]
CODE = 86
#: Runs the staff that its arguments name, in a folder of its own.
RUN = """
import os, signal, sys
from infra.rabbitmq import workers
from infra.rabbitmq.workers import Staff, work
{}
sys.exit(work([Staff(name, 1, replaced=name.endswith("mortal")) for name in sys.argv[2:]]))
"""
#: There is no memory for the process of this number, from 0.
NO_MEMORY = """
forks, fork = iter(range(100)), os.fork
def failing():
    if next(forks) == {}:
        raise OSError(12, "Cannot allocate memory")
    return fork()
os.fork = failing
"""
#: Somebody tells the parent to stop at the moment when it does this for the time of this number, from 0.
TOLD_TO_STOP = """
times, step = iter(range(100)), workers._Post.{0}
def told(*arguments):
    if next(times) == {1}:
        os.kill(os.getpid(), signal.SIGTERM)
    step(*arguments)
workers._Post.{0} = told
"""


def steady() -> None:
    """A composition root of a worker that goes on until it is told to end."""
    _began("steady")
    if places.here().says is None:
        hearing = Hearing(places.here())
        hearing.start()
        threading.Thread(target=_write_down, args=(hearing,), daemon=True).start()


def mortal() -> None:
    """One that dies in its first life."""
    lives = _began("mortal")
    says = places.here().says
    assert says is not None
    say(says, ({}, {"life": str(lives)}))
    if lives == 1:
        threading.Timer(0.5, os._exit, [CODE]).start()


def doomed() -> None:
    """One that dies in each life."""
    _began("doomed")
    threading.Timer(0.5, os._exit, [CODE]).start()


def _began(name: str) -> int:
    dramatiq.set_broker(StubBroker())
    with (Path(sys.argv[1]) / name).open("a") as lives:
        lives.write(f"{os.getpid()}\n")
    return len(pids(Path(sys.argv[1]), name))


def _write_down(hearing: Hearing) -> None:
    while True:
        draft = Path(sys.argv[1]) / "draft"
        draft.write_text(f"{hearing.problems} {hearing.notes}")
        draft.rename(draft.with_name("heard"))
        threading.Event().wait(0.1)


def pids(folder: Path, name: str) -> list[int]:
    """The processes that have been at a post."""
    file = folder / name
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


@contextmanager
def running(folder: Path, *names: str, meddling: str = "") -> Iterator["subprocess.Popen[bytes]"]:
    """A parent with these workers."""
    code = RUN.format(meddling)
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-c", code, str(folder), *(f"{__name__}:{name}" for name in names)]
        parent = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield parent
    finally:
        if parent.poll() is None:
            parent.send_signal(signal.SIGTERM)
        parent.wait(30)


def test_when_a_worker_of_events_dies_the_others_stop_and_the_parent_ends_with_its_code(tmp_path: Path) -> None:
    with running(tmp_path, "doomed", "steady", "mortal") as parent:
        assert CODE == parent.wait(30)
    assert not any(is_alive(pid) for name in ("doomed", "steady", "mortal") for pid in pids(tmp_path, name))


def test_a_worker_of_jobs_that_dies_is_started_again_while_the_others_go_on(tmp_path: Path) -> None:
    with running(tmp_path, "steady", "mortal") as parent:
        until(lambda: len(pids(tmp_path, "mortal")) == 2, seconds=30, what="a second life")
        first, second = pids(tmp_path, "mortal")
        (other,) = pids(tmp_path, "steady")
        assert (True, False, True) == (is_alive(other), is_alive(first), is_alive(second))
        parent.send_signal(signal.SIGTERM)
        assert 0 == parent.wait(30)
    assert not is_alive(second)
    assert 2 == len(pids(tmp_path, "mortal")), "what ends because it was told to is not started again"


def test_the_first_worker_hears_how_the_others_do_and_that_one_has_died(tmp_path: Path) -> None:
    def heard(what: str) -> bool:
        file = tmp_path / "heard"
        return file.exists() and what in file.read_text()

    with running(tmp_path, "steady", "mortal"):
        until(lambda: heard("'life': '1'"), seconds=30, what="a sign of the first life")
        until(lambda: heard(f"ended, exit code {CODE}; it starts again in 0.5 s"), seconds=30, what="the death")
        until(lambda: heard("{} {'life': '2'}"), seconds=30, what="a sign of the second life")


def test_a_worker_that_has_never_said_anything_is_a_problem(tmp_path: Path) -> None:
    with running(tmp_path, "steady", "steady"):
        until(
            lambda: (tmp_path / "heard").exists() and "has not started yet" in (tmp_path / "heard").read_text(),
            seconds=30,
            what="the problem",
        )


def test_a_worker_of_jobs_that_cannot_be_started_is_started_later(tmp_path: Path) -> None:
    with running(tmp_path, "steady", "mortal", meddling=NO_MEMORY.format(2)) as parent:
        until(lambda: len(pids(tmp_path, "mortal")) == 2, seconds=30, what="a second life")
        assert all(is_alive(pid) for pid in [*pids(tmp_path, "steady"), pids(tmp_path, "mortal")[1]])
        parent.send_signal(signal.SIGTERM)
        assert 0 == parent.wait(30)
    assert "could not be started (Cannot allocate memory)" in (tmp_path / "log").read_text()


def test_when_a_worker_of_events_cannot_be_started_the_others_stop(tmp_path: Path) -> None:
    with running(tmp_path, "mortal", "steady", meddling=NO_MEMORY.format(1)) as parent:
        assert 1 == parent.wait(30)
    assert not any(is_alive(pid) for name in ("mortal", "steady") for pid in pids(tmp_path, name))


@pytest.mark.parametrize(("step", "number"), [("start_later", 0), ("start", 2)])
def test_who_is_told_to_stop_between_two_lives_of_a_worker_stops(tmp_path: Path, step: str, number: int) -> None:
    with running(tmp_path, "steady", "mortal", meddling=TOLD_TO_STOP.format(step, number)) as parent:
        parent.wait(30)
    assert not any(is_alive(pid) for name in ("mortal", "steady") for pid in pids(tmp_path, name))
