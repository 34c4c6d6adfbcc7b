"""Coroutine functions as handlers: in one event loop, for as long as the subscription allows."""

import asyncio
import sys
import threading
from typing import Any

import pytest

from infra.calling import Calling
from infra.subscriptions import Subscription


def subscription(handler: Any, timeout: float = 5.0) -> Subscription:
    return Subscription("tested", ("day.ended",), handler, timeout=timeout)


def test_all_coroutines_run_in_one_loop() -> None:
    loops = []

    async def handler() -> None:
        loops.append(asyncio.get_running_loop())

    calling = Calling()
    for _ in range(3):
        calling.call_with(subscription(handler))
    assert 1 == len(set(loops))


def test_what_a_coroutine_raises_is_raised() -> None:
    async def handler() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        Calling().call_with(subscription(handler))


def test_a_coroutine_that_takes_too_long_is_cancelled() -> None:
    ended = threading.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        Calling().call_with(subscription(slow, timeout=0.05))
    assert ended.wait(5)


async def _exits() -> None:
    sys.exit(3)


async def _exits_in_a_task() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_exits())


async def _interrupted_in_a_task() -> None:
    async def raises() -> None:
        raise Interrupted

    async with asyncio.TaskGroup() as group:
        group.create_task(raises())


class Interrupted(BaseException):
    """No Exception."""


@pytest.mark.parametrize(
    ("handler", "raised"),
    [(_exits, SystemExit), (_exits_in_a_task, SystemExit), (_interrupted_in_a_task, BaseExceptionGroup)],
)
def test_what_is_no_exception_is_raised_too_and_ends_the_loop_for_nobody_else(
    handler: Any, raised: type[BaseException]
) -> None:
    async def sound() -> str:
        return "done"

    calling = Calling()
    for _ in range(2):
        with pytest.raises(raised):
            calling.wait_for(handler)
        assert "done" == calling.wait_for(sound)
        with pytest.raises(raised):
            calling.call_with(subscription(handler))
        calling.call_with(subscription(sound))
    calling.close()


def test_coroutines_beside_one_that_exits_in_its_own_thread_go_on() -> None:
    async def waits() -> str:
        began.set()
        while not ended.is_set():  # noqa: ASYNC110  # an event of threads
            await asyncio.sleep(0.01)
        return "done"

    began, ended, heard = threading.Event(), threading.Event(), list[str]()
    calling = Calling()
    other = threading.Thread(target=lambda: heard.append(calling.wait_for(waits)))
    other.start()
    assert began.wait(10)
    with pytest.raises(SystemExit):
        calling.wait_for(_exits)
    ended.set()
    other.join(10)
    assert ["done"] == heard
    calling.close()
