"""The publisher for threads: it lives in an event loop of its own, and a call returns when the broker has confirmed."""

from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import datetime
from typing import TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from infra.rabbitmq.messages import Message
from infra.rabbitmq.publisher import Publisher
from infra.rabbitmq.topology import OpenChannel

T = TypeVar("T")
#: Name, event types and description of a consumer, as the topology needs them.
Consumer = tuple[str, Sequence[str], str]


class BlockingPublisher:
    """Retry copies and dead letters from worker threads; connects at the first use and after each loss."""

    def __init__(self, url: str, *, name: str) -> None:
        self._publisher = Publisher(url, name=name)
        self._stack = ExitStack()
        self._portal: BlockingPortal = self._stack.enter_context(start_blocking_portal())

    def publish(self, message: Message) -> None:
        """Publish and wait for the confirm.

        Raises:
            Unroutable: no queue takes it.
            BrokerUnavailable: not connected, or not confirmed in time (it may still arrive).
        """
        self._portal.call(self._publish, message)

    def declare(self, consumers: Sequence[Consumer]) -> None:
        """Declare the whole topology with these consumers' queues.

        Raises:
            BrokerUnavailable: not connected.
            TopologyConflict: a queue exists with other arguments; all the rest is declared.
        """
        self._portal.call(self._declare, consumers)

    def inspect(self, consumers: Sequence[Consumer]) -> Future[dict[str, int]]:
        """Declare what is missing of queues and bindings, meanwhile; see `Publisher.inspect` for what comes of it."""
        return self._portal.start_task_soon(self._publisher.inspect, consumers)

    def check(self) -> None:
        """Have the broker answer, on the connection that is used for all else: it is asked for the topology's trunk.

        Raises:
            BrokerUnavailable: not connected, or no answer.
        """
        self._portal.call(self._publisher.inspect, ())

    def work(self, job: Callable[[OpenChannel], Awaitable[T]]) -> T:
        """Do something else on channels of this connection, and wait for it.

        Raises:
            BrokerUnavailable: not connected, or the broker refuses.
        """
        return self._portal.call(self._publisher.work, job)

    @property
    def made(self) -> dict[str, datetime]:
        """Queues that were missing and were made again here -> when; whoever writes it down takes it out."""
        return self._publisher.made

    def close(self) -> None:
        """Close the connection and end the loop's thread."""
        self._portal.call(self._publisher.close)
        self._stack.close()

    async def _publish(self, message: Message) -> None:
        await self._publisher.connect()
        await self._publisher.publish(message)

    async def _declare(self, consumers: Sequence[Consumer]) -> None:
        await self._publisher.connect()
        await self._publisher.declare(consumers)
