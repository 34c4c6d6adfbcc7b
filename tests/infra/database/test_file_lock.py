"""Rules of the lock between processes: it comes in turn, waiting ends, and whoever gives up leaves nothing behind."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.database.file_lock import Turnstile
from tests.waiting import until

HOLD = """
import sys, time
from pathlib import Path
from infra.database.file_lock import Turnstile
assert Turnstile(Path(sys.argv[1])).take(5)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Turnstile, Turnstile]]:
    """What two processes have; the kernel tells them apart by their open files."""
    made = Turnstile(tmp_path / "x.db"), Turnstile(tmp_path / "x.db")
    yield made
    for one in made:
        one.close()


def takes(turnstile: Turnstile) -> bool:
    if taken := turnstile.take(0.05):
        turnstile.give()
    return taken


def test_only_one_has_it(pair: tuple[Turnstile, Turnstile]) -> None:
    one, other = pair
    assert one.take(1)
    assert not other.take(0.05)
    one.give()
    assert until(lambda: other.take(0.05), what="the lock")


def test_who_waits_gets_it_when_it_is_given(pair: tuple[Turnstile, Turnstile]) -> None:
    one, other = pair
    assert one.take(1)
    threading.Timer(0.1, one.give).start()
    began = time.monotonic()
    assert other.take(10)
    assert time.monotonic() - began < 5


def test_who_gave_up_does_not_keep_it(pair: tuple[Turnstile, Turnstile]) -> None:
    one, other = pair
    assert one.take(1)
    assert not other.take(0.05)
    one.give()
    until(lambda: takes(one), what="the lock free again")


def test_who_gave_up_may_ask_again(pair: tuple[Turnstile, Turnstile]) -> None:
    one, other = pair
    assert one.take(1)
    assert not other.take(0.05)
    assert not other.take(0.05)
    one.give()
    assert other.take(10)
    other.give()
    assert takes(one)


def test_nobody_overtakes_who_waits(pair: tuple[Turnstile, Turnstile]) -> None:
    one, other = pair
    assert one.take(1)
    came: list[bool] = []
    thread = threading.Thread(target=lambda: came.append(other.take(10)))
    thread.start()
    until(lambda: other._waiting, what="the other waiting")
    until(lambda: not _gate_is_free(one), what="the other at the gate")
    one.give()
    assert not one.take(0.2)
    thread.join(5)
    assert [True] == came


def _gate_is_free(turnstile: Turnstile) -> bool:
    """Asked of a file opened anew: locks belong to the opening."""
    again = os.open(f"/proc/self/fd/{turnstile._gate}", os.O_RDWR)
    try:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(again)
    return True


def test_a_process_that_is_stopped_keeps_nobody_waiting_for_ever_and_one_that_dies_keeps_nothing(
    tmp_path: Path, pair: tuple[Turnstile, Turnstile]
) -> None:
    program = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "x.db")], stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        assert "held\n" == program.stdout.readline()
        program.send_signal(signal.SIGSTOP)
        assert not pair[0].take(0.1)
    finally:
        program.kill()
        program.communicate()
    assert pair[0].take(5)


def test_closing_while_waiting_leaves_the_lock_free(tmp_path: Path) -> None:
    one, other = Turnstile(tmp_path / "x.db"), Turnstile(tmp_path / "x.db")
    assert one.take(1)
    assert not other.take(0.05)
    other.close()
    one.give()
    until(lambda: takes(one), what="the lock free again")
    one.close()
