"""Coroutine functions as handlers: in one event loop, for as long as the subscription allows."""

import asyncio
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
