"""Rules of the time limit: it hits the handler or nothing."""

import threading
import time
from collections.abc import Callable

import dramatiq
import pytest
from dramatiq.middleware import TimeLimitExceeded

from infra.rabbitmq.time_limit import HandlerTimeLimit
from infra.shields import Shield
from tests.waiting import until


@pytest.fixture
def limit() -> HandlerTimeLimit:
    made = HandlerTimeLimit()
    broker = dramatiq.Broker(middleware=[made])
    broker.emit_before("worker_boot", None)
    return made


def spin_until(done: Callable[[], bool]) -> None:
    while not done():
        time.sleep(0.001)


def test_a_call_that_takes_too_long_is_interrupted(limit: HandlerTimeLimit) -> None:
    with pytest.raises(TimeLimitExceeded):
        limit.call(lambda _: spin_until(lambda: False), None, 0.1)


def test_a_call_in_time_gives_its_answer_and_nothing_follows(limit: HandlerTimeLimit) -> None:
    assert limit.call(lambda n: n + 1, 1, 0.1) == 2
    began = time.monotonic()
    spin_until(lambda: time.monotonic() > began + 0.8)


def test_infinity_is_no_limit(limit: HandlerTimeLimit) -> None:
    began = time.monotonic()
    limit.call(lambda _: spin_until(lambda: time.monotonic() > began + 0.6), None, float("inf"))


def test_an_interrupt_that_comes_as_the_call_returns_never_leaks_out_of_it(limit: HandlerTimeLimit) -> None:
    """Fire at the worst moment, over and over: the interrupt is raised inside `call`, or not at all."""
    end, leaked = time.monotonic() + 1.0, list[BaseException]()

    def work() -> None:
        try:
            while time.monotonic() < end:
                try:
                    limit.call(lambda _: None, None, 0.0)
                except TimeLimitExceeded:
                    continue
        except BaseException as error:  # noqa: BLE001  # what this test is about
            leaked.append(error)

    def fire() -> None:
        while time.monotonic() < end:
            limit._interrupt_overdue(float("inf"))

    threads = [threading.Thread(target=target) for target in (work, work, fire)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert leaked == []


def test_at_the_end_of_the_process_what_runs_has_the_grace_left_and_no_more(limit: HandlerTimeLimit) -> None:
    started, interrupted = threading.Event(), threading.Event()

    def spin(_: None) -> None:
        started.set()
        spin_until(lambda: False)

    def work() -> None:
        try:
            limit.call(spin, None, 60.0)
        except TimeLimitExceeded:
            interrupted.set()

    thread = threading.Thread(target=work)
    thread.start()
    started.wait(5)
    limit.end_within(0.1)

    until(interrupted.is_set, seconds=30, what="the interrupt")
    thread.join()


def test_a_shield_puts_the_interrupt_off_until_it_is_down(limit: HandlerTimeLimit) -> None:
    through = threading.Event()

    def work(_: None) -> None:
        began = time.monotonic()
        with Shield():
            spin_until(lambda: time.monotonic() > began + 0.6)
            through.set()
        spin_until(lambda: False)

    with pytest.raises(TimeLimitExceeded):
        limit.call(work, None, 0.1)
    assert through.is_set()
