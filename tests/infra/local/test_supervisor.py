"""The supervisor and real processes: what dies starts again, what is stopped stops in time, strangers are spared."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from infra.errors import NotStarted
from infra.local import pidfile
from infra.local.leftovers import end_leftovers
from infra.local.places import Places
from infra.local.ports import free_port
from infra.local.supervisor import CALM, LONGEST, SHORTEST, BackOff, Keeper, end_all
from tests.programs import child, is_alive
from tests.waiting import until

ROOT = Path(__file__).parents[3]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "state").make()


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that is none of ours, and leads a group of its own."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process.pid
        process.kill()


class Watched:
    """A keeper and what it told."""

    def __init__(self, places: Places, behaviour: str, *, port: int = 21000) -> None:
        self.lines: list[str] = []
        self.states: list[str] = []
        self.log = places.log(behaviour)
        self.on_change: Callable[[str], None] = lambda name: None
        program = child(places, behaviour, free_port(port + os.getpid() % 1000))
        self.keeper = Keeper(program, say=self.lines.append, changed=self._changed)

    def _changed(self) -> None:
        self.states.append(self.keeper.process.state)
        self.on_change(self.keeper.process.name)

    @property
    def pid(self) -> int:
        """The running process."""
        assert self.keeper.process.pid is not None
        return self.keeper.process.pid

    async def reaches(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        """Wait while the keeper goes on working."""
        await asyncio.to_thread(until, condition, seconds=seconds, what=f"the condition on {self.keeper.process}")


def run(watched: Watched, scenario: Callable[[], Awaitable[None]], seconds: float = 5) -> None:
    """Begin, run the scenario, end."""

    async def all_of_it() -> None:
        try:
            await watched.keeper.begin(20)
            await scenario()
        finally:
            await watched.keeper.end(seconds)

    asyncio.run(all_of_it())


def test_a_program_that_dies_starts_again_and_is_counted(places: Places) -> None:
    watched = Watched(places, "obedient")

    async def scenario() -> None:
        first = watched.pid
        os.kill(first, signal.SIGKILL)
        await watched.reaches(lambda: watched.keeper.process.restarts == 1 and watched.states[-1] == "ready")
        assert watched.pid != first

    run(watched, scenario)
    assert [state for state in watched.states if state != "restarting"] == ["starting", "ready"] * 2 + ["stopped"]
    assert "obedient ended, signal SIGKILL; it starts again in 0.2 s" in watched.lines
    assert "obedient is ready again" in watched.lines


def test_what_a_dead_program_left_behind_is_ended(places: Places) -> None:
    watched = Watched(places, "parent")

    async def scenario() -> None:
        forked = int(watched.log.read_text().split()[0])
        os.kill(watched.pid, signal.SIGKILL)
        await watched.reaches(lambda: watched.keeper.process.restarts == 1)
        await watched.reaches(lambda: not is_alive(forked))

    run(watched, scenario)


def test_a_program_that_ends_before_it_was_ready_is_an_error_with_its_last_words(places: Places) -> None:
    watched = Watched(places, "doomed")
    with pytest.raises(NotStarted, match=r"doomed ended before it was ready, exit code 3: it is broken \(see .*doomed"):
        asyncio.run(watched.keeper.begin(20))


def test_a_program_that_is_not_ready_in_time_is_an_error(places: Places) -> None:
    watched = Watched(places, "slow")

    async def scenario() -> None:
        with pytest.raises(NotStarted, match=r"slow was not ready within 1 s: still busy"):
            await watched.keeper.begin(1)
        await watched.keeper.end(5)

    asyncio.run(scenario())
    assert not places.pid_file("slow").exists()


def test_a_program_that_ignores_term_is_killed_after_its_time(places: Places) -> None:
    watched = Watched(places, "deaf")

    pids: list[int] = []

    async def scenario() -> None:
        pids.append(watched.pid)

    began = time.monotonic()
    run(watched, scenario, seconds=0.5)
    assert (watched.states[-1], is_alive(pids[0])) == ("stopped", False)
    assert time.monotonic() - began < 10


def test_what_is_killed_on_purpose_stays_dead(places: Places) -> None:
    watched = Watched(places, "deaf")

    async def scenario() -> None:
        watched.keeper.kill()

    began = time.monotonic()
    run(watched, scenario, seconds=30)
    assert (watched.states, watched.keeper.process.restarts) == (["starting", "ready", "stopped"], 0)
    assert time.monotonic() - began < 20


def test_stopping_ends_what_the_program_started_and_no_stranger(places: Places, stranger: int) -> None:
    watched = Watched(places, "parent")
    pids: list[int] = []

    async def scenario() -> None:
        pids.extend([watched.pid, int(watched.log.read_text().split()[0])])

    run(watched, scenario)
    until(lambda: [is_alive(pid) for pid in pids] == [False, False], what="the end of both")
    assert is_alive(stranger)


def test_a_reload_is_no_death(places: Places) -> None:
    watched = Watched(places, "obedient")

    async def scenario() -> None:
        first = watched.pid
        await watched.keeper.reload(5)
        await watched.reaches(lambda: watched.states[-1] == "ready" and watched.pid != first)

    run(watched, scenario)
    assert watched.keeper.process.restarts == 0


def test_programs_are_ended_side_by_side_so_that_a_deaf_one_holds_up_no_other(places: Places) -> None:
    ended: list[str] = []
    obedient, deaf = Watched(places, "obedient"), Watched(places, "deaf", port=27000)

    async def scenario() -> None:
        await obedient.keeper.begin(20)
        await deaf.keeper.begin(20)
        obedient.on_change = deaf.on_change = ended.append
        await end_all([obedient.keeper, deaf.keeper], 0.5)

    asyncio.run(scenario())
    assert ended == ["obedient", "deaf"]


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_calm_life() -> None:
    back_off = BackOff()
    pauses = [back_off.after(lived=1) for _ in range(8)]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, LONGEST, LONGEST]
    assert back_off.after(lived=CALM) == SHORTEST
    assert back_off.after(lived=0) == 2 * SHORTEST


def test_programs_end_when_the_supervisor_is_killed(places: Places) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from infra.local.places import Places;"
        "from tests.programs import child\n"
        "async def main():\n"
        "    await child(Places(Path(sys.argv[1])), 'obedient', int(sys.argv[2])).start()\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    arguments = [sys.executable, "-c", code, str(places.folder), str(free_port(26000))]
    with subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as supervisor:
        pid = until(lambda: pidfile.read(places.pid_file("obedient")), what="the program's start")
        assert pid is not None
        supervisor.kill()
    until(lambda: not is_alive(pid), what="the program's end")


class TestLeftovers:
    def test_a_recorded_program_is_ended_with_its_group(self, places: Places) -> None:
        with subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], start_new_session=True, stdout=-1) as process:
            assert process.stdout is not None
            forked = int(process.stdout.readline())
            pidfile.write(places.pid_file("gateway"), process.pid)
            assert end_leftovers(places) == ["gateway"]
        until(lambda: not is_alive(forked), what="the end of the forked process")
        assert not places.pid_file("gateway").exists()

    def test_a_later_process_with_the_same_number_is_spared(self, places: Places, stranger: int) -> None:
        places.pid_file("gateway").write_text(f"{stranger} 1\n")
        assert end_leftovers(places) == []
        assert is_alive(stranger)
