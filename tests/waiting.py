"""Waiting for something to become true, with a deadline, so that no test sleeps for a guessed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], *, seconds: float = 10.0, what: str = "the condition") -> T:
    """Ask again and again until the answer is true, and give it.

    Raises:
        AssertionError: it did not become true within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:g} s"
        time.sleep(0.02)
    return answer
