"""Failpoints: what is armed fails at its time and place, and everything else does nothing."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from timeit import repeat

import pytest

from infra import faults
from infra.errors import ConfigurationError
from infra.faults import EXIT, NAMES, FaultInjected, arm, failpoint, is_armed

ROOT = Path(__file__).parents[2]
POINT = "delivery.before-ack"


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Whatever a test arms, the next one begins without."""
    arm(None)
    yield
    arm(None)


def failures(passings: int, name: str = POINT, where: str = "") -> list[int]:
    """Which of so many passings failed, counted from 1."""
    found = []
    for number in range(1, passings + 1):
        try:
            failpoint(name, where)
        except FaultInjected:
            found.append(number)
    return found


def test_nothing_fails_unless_it_is_armed() -> None:
    assert [] == [number for name in sorted(NAMES) for number in failures(3, name)]


def test_it_fails_at_the_nth_passing_alone() -> None:
    arm(f"{POINT}:3:raise")
    assert [3] == failures(10)


def test_another_failpoint_does_not_count() -> None:
    arm(f"{POINT}:1:raise")
    assert [] == failures(3, "delivery.after-commit")
    assert [1] == failures(3)


def test_a_place_counts_its_own_passings_alone() -> None:
    arm(f"{POINT}@welcome-email:2:raise")
    assert [] == failures(3, where="activity-log")
    assert [] == failures(3)
    assert [2] == failures(3, where="welcome-email")


def test_without_a_place_all_places_count() -> None:
    arm(f"{POINT}:2:raise")
    assert [] == failures(1, where="activity-log")
    assert [1] == failures(3, where="welcome-email")


def test_several_are_armed_side_by_side_even_of_one_name() -> None:
    arm(f"{POINT}:2:raise, {POINT}:4:raise,relay.after-claim:1:raise")
    assert [2, 4] == failures(6)
    assert [1] == failures(2, "relay.after-claim")


def test_arming_forgets_what_was_armed_before() -> None:
    arm(f"{POINT}:1:raise")
    arm("relay.after-claim:1:raise")
    assert [] == failures(3)
    assert [1] == failures(3, "relay.after-claim")


def test_a_failpoint_counts_as_armed_until_it_has_failed() -> None:
    arm(f"{POINT}:2:raise")
    assert (True, False) == (is_armed(POINT), is_armed("relay.after-claim"))
    failures(1)
    assert is_armed(POINT)
    failures(1)
    assert not is_armed(POINT)


def test_of_many_threads_exactly_one_meets_the_fault() -> None:
    arm(f"{POINT}:500:raise")
    with ThreadPoolExecutor(8) as pool:
        met = list(pool.map(lambda _: failures(125), range(8)))
    assert 1 == sum(len(each) for each in met)


def test_sleep_stands_still_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "SLEEP", 0.1)
    arm(f"{POINT}:1:sleep")
    began = time.monotonic()
    assert [] == failures(2)
    assert 0.1 <= time.monotonic() - began < 5.0


def test_exit_ends_the_process_at_once_like_a_crash_and_says_so_first() -> None:
    program = f"""
import atexit
from infra import faults, logs
from infra.settings import load
logs.configure(load(log_format="json"), program="test")
atexit.register(print, "an orderly end")
faults.arm("{POINT}@welcome-email:1:exit")
try:
    faults.failpoint("{POINT}", "welcome-email")
finally:
    print("cleaning up")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (EXIT, "") == (done.returncode, done.stdout)
    assert all(word in done.stderr for word in ("fault injected", POINT, "welcome-email", "exit"))


@pytest.mark.parametrize(
    "text",
    [
        "no.such-point:1:exit",
        POINT,
        f"{POINT}:1",
        f"{POINT}:0:exit",
        f"{POINT}:-1:exit",
        f"{POINT}:x:exit",
        f"{POINT}:²:exit",
        f"{POINT}:1:explode",
        f"{POINT}:1:exit:",
        f"{POINT}:1:exit,",
        "@welcome-email:1:exit",
    ],
)
def test_what_cannot_be_read_is_refused_and_says_what_can(text: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"TIDINGS_FAULT: .* is not name.*names are backfill.*actions are exit"
    ):
        arm(text)


def test_a_bad_text_leaves_the_former_faults_armed() -> None:
    arm(f"{POINT}:1:raise")
    with pytest.raises(ConfigurationError):
        arm("nonsense")
    assert [1] == failures(2)


def test_an_unarmed_failpoint_costs_next_to_nothing() -> None:
    passings = 100_000
    best = min(repeat(lambda: failpoint(POINT, "welcome-email"), number=passings, repeat=5))
    assert best / passings < 2e-6  # 50 ns is usual: a bound for the slowest machine, far below a statement's 100 µs
