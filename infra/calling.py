"""Calling handlers: a plain function in the worker's thread, a coroutine function in the one event loop beside it."""

import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import wait
from contextlib import ExitStack
from threading import Lock
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from infra.context import DeliveryContext
from infra.subscriptions import Subscription

T = TypeVar("T")
#: Seconds: an interrupt waits for the end of what the thread waits for.
_INTERRUPTIBLE = 0.25


class Calling:
    """The event loop's thread is started with the first coroutine and lives as long as the process."""

    def __init__(self) -> None:
        self._portal: BlockingPortal | None = None
        self._stack = ExitStack()
        self._lock = Lock()

    def call(self, subscription: Subscription, context: DeliveryContext) -> None:
        """Call the handler with one event."""
        if subscription.batch:
            self.call_with(subscription, [context])
        else:
            self.call_with(subscription, context.event, context)

    def call_with(self, subscription: Subscription, *arguments: Any) -> None:
        """Call the handler.

        Raises:
            TimeoutError: a coroutine took longer than the subscription's limit; it is cancelled.
        """
        if not inspect.iscoroutinefunction(subscription.handler):
            subscription.handler(*arguments)
            return
        future = self._loop().start_task_soon(subscription.handler, *arguments)
        try:
            future.result(subscription.timeout)
        finally:
            future.cancel()

    def wait_for(self, function: Callable[[], Awaitable[T]]) -> T:
        """Call a coroutine function, and wait so that this thread can be interrupted, which cancels it."""
        future = self._loop().start_task_soon(function)
        try:
            while not wait([future], timeout=_INTERRUPTIBLE).done:
                continue
            return future.result()
        finally:
            future.cancel()

    def close(self) -> None:
        """End the event loop's thread, if there is one; nothing is called any more."""
        with self._lock:
            self._portal = None
            self._stack.close()

    def _loop(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None:
                self._portal = self._stack.enter_context(start_blocking_portal())
            return self._portal
