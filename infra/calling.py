"""Calling handlers: a plain function in the worker's thread, a coroutine function in the one event loop beside it."""

import inspect
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, Generic, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from infra.context import DeliveryContext
from infra.subscriptions import Subscription

T = TypeVar("T")
#: Seconds: an interrupt waits for the end of what the thread waits for.
_INTERRUPTIBLE = 0.25


@dataclass(frozen=True, slots=True)
class _Ended(Generic[T]):
    """How a coroutine ended: in this thread what it raised may go on; in the loop's it would end that for all."""

    value: T | None = None
    error: BaseException | None = None

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # without an error there is one


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
        future = self._start(partial(subscription.handler, *arguments))
        try:
            future.result(subscription.timeout).result()
        finally:
            future.cancel()

    def wait_for(self, function: Callable[[], Awaitable[T]]) -> T:
        """Call a coroutine function, and wait so that this thread can be interrupted, which cancels it."""
        future = self._start(function)
        try:
            while not wait([future], timeout=_INTERRUPTIBLE).done:
                continue
            return future.result().result()
        finally:
            future.cancel()

    def close(self) -> None:
        """End the event loop's thread, if there is one; nothing is called any more."""
        with self._lock:
            self._portal = None
            self._stack.close()

    def _start(self, function: Callable[[], Awaitable[T]]) -> "Future[_Ended[T]]":
        portal = self._loop()
        try:
            return portal.start_task_soon(_contained, function)
        except RuntimeError:  # it has ended: a task of a handler's own has called `sys.exit()`, say
            return self._loop(instead_of=portal).start_task_soon(_contained, function)

    def _loop(self, instead_of: BlockingPortal | None = None) -> BlockingPortal:
        """The one for all; the first who finds that it has ended makes another one."""
        with self._lock:
            if self._portal is None or self._portal is instead_of:
                self._stack.close()
                self._portal = self._stack.enter_context(start_blocking_portal())
            return self._portal


async def _contained(function: Callable[[], Awaitable[T]]) -> _Ended[T]:
    try:
        return _Ended(await function())
    except (Exception, CancelledError):
        raise
    except BaseException as error:  # noqa: BLE001  # it is raised again, where it ends nothing else
        return _Ended(error=error)
