"""Publishes messages and returns only when the broker has taken them into a queue."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

import structlog
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from events.envelope import MAX_BYTES, event_types
from infra.errors import (
    BrokerUnavailable,
    MessageRefused,
    TopologyConflict,
)
from infra.hosts import Turns, each
from infra.rabbitmq import refusals, topology
from infra.rabbitmq.link import Link
from infra.rabbitmq.messages import Message, event_message
from infra.rabbitmq.topology import Declared
from infra.subscriptions import EVERY_TYPE

__all__ = ["Message", "Publisher", "event_message"]

T = TypeVar("T")
log = structlog.get_logger(__name__)

#: Gives the consumers to declare on a new connection.
Consumers = Callable[[], Awaitable[Iterable[topology.Consumer]]]


class Publisher:
    """One connection, opened when it is needed, replaced when it is lost; for one event loop."""

    def __init__(self, url: str, *, name: str, deadline: float = 5.0) -> None:
        self._hosts = Turns(each(url))
        self._name = name
        self._deadline = deadline
        self._link: Link | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._consumers: Consumers | None = None
        self._conflict: str | None = None
        #: Queues that were missing and were made again here -> when that was done; whoever writes it down takes it out.
        self.made: dict[str, datetime] = {}

    @property
    def connected(self) -> bool:
        """Whether a publish can go out without connecting first."""
        return self._link is not None and self._link.usable

    @property
    def conflict(self) -> str | None:
        """What of the topology is not as it should be, by the last declaration, in one line; publishing goes on."""
        return self._conflict

    def on_connect(self, consumers: Consumers) -> None:
        """Declare these consumers' queues on each connection from now on, before anything is published on it."""
        self._consumers = consumers
        self._drop()

    async def connect(self) -> None:
        """Connect unless that is done; callers that come meanwhile share the attempt.

        Raises:
            BrokerUnavailable: nobody answers, the login is refused, or the broker holds publishers back.
        """
        if self._link is not None and self._link.usable and not self._link.stale:
            return
        if self._attempt is None:
            self._attempt = asyncio.create_task(self._replace())
            self._attempt.add_done_callback(self._attempt_ended)
        with refusals.told_of_a_loss():
            await asyncio.shield(self._attempt)

    async def publish(self, message: Message) -> None:
        """Publish and wait for the confirm; calls that are started in order go out in order.

        Raises:
            MessageRefused: the message itself is at fault.
            Unroutable: no queue takes it.
            PublishRejected: a queue does not take it now, or this program may not send such messages.
            NotConfirmed: no answer within the deadline; the message may arrive all the same.
            BrokerUnavailable: no connection, or it was lost; the message may have arrived.
        """
        if len(message.body) > MAX_BYTES:
            raise MessageRefused(
                f"The event {message.message_id} has {len(message.body)} bytes; {MAX_BYTES} are allowed."
            )
        await self.connect()
        link = self._link
        if link is None:
            raise BrokerUnavailable("The connection to RabbitMQ was closed.")
        await self._send(link, message)

    async def declare(self, consumers: Iterable[topology.Consumer]) -> None:
        """Declare the topology with these consumers' queues, bound to their types and to no other registered one.

        Raises:
            TopologyConflict: an exchange or queue exists with other arguments; all the rest is declared.
            BrokerUnavailable: no connection, or it was lost.
        """
        await self.connect()
        if self._link is not None:
            await self._declare(self._link, consumers, known=(EVERY_TYPE, *event_types()))
        if self._conflict is not None:
            raise TopologyConflict(self._conflict)

    async def inspect(self, consumers: Iterable[topology.Consumer]) -> dict[str, int]:
        """Declare what is missing of queues and bindings; gives how many messages wait in each queue that was there.

        Raises:
            BrokerUnavailable: no connection, or it was lost.
        """
        await self.connect()
        return {} if self._link is None else (await self._declare(self._link, consumers)).waiting

    async def declare_again(self) -> None:
        """Declare the consumers of `on_connect` once more, for something may have been deleted under way.

        Raises:
            BrokerUnavailable: no connection, or it was lost.
        """
        if self._consumers is not None:
            await self.inspect(await self._consumers())

    async def work(self, job: Callable[[topology.OpenChannel], Awaitable[T]]) -> T:
        """Do something else on channels of this connection.

        Raises:
            BrokerUnavailable: no connection, it was lost, or the broker refuses.
        """
        await self.connect()
        try:
            with refusals.told_of_a_loss():
                return await job(self._link.channel)  # type: ignore[union-attr]  # it is there once connected
        except (*CONNECTION_EXCEPTIONS, TimeoutError) as error:
            raise BrokerUnavailable(f"RabbitMQ does not let its queues be changed: {refusals.text(error)}.") from error

    async def close(self) -> None:
        """Close the connection; what is in flight fails."""
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.wait([self._attempt])
        self._drop()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _send(self, link: Link, message: Message) -> None:
        try:
            async with asyncio.timeout(self._deadline):
                await link.send(message)
        except (*CONNECTION_EXCEPTIONS, TypeError, ValueError) as error:
            raise refusals.of(link, message, error, self._deadline) from error
        except asyncio.CancelledError:
            link.doubtful = True
            with refusals.told_of_a_loss():
                raise

    async def _replace(self) -> None:
        if self._link is not None and self._link.is_open:
            await self._wait_while_blocked(self._link)
        if self._link is not None:
            self._hosts.turn()
        self._drop()
        link = await self._open()
        try:
            if self._consumers is not None:
                await self._declare(link, await self._consumers())
        except BaseException:
            self._say_goodbye(link)
            raise
        self._link = link

    async def _wait_while_blocked(self, link: Link) -> None:
        """Under an alarm a new connection is no help: its first publish would block it, and arrive late, too."""
        try:
            async with asyncio.timeout(self._deadline):
                await link.unblocked()
        except TimeoutError:
            raise BrokerUnavailable(
                "RabbitMQ takes no messages (memory or disk alarm): free memory or disk on its machine."
            ) from None

    async def _open(self) -> Link:
        """Open a link to the first host that takes us; silence ends the attempt, and the next one begins elsewhere."""
        refusal: BaseException | None = None
        for _ in range(len(self._hosts)):
            try:
                return await Link.open(self._hosts.current, name=self._name, seconds=self._deadline)
            except TimeoutError:
                self._hosts.turn()
                raise BrokerUnavailable(f"RabbitMQ did not answer within {self._deadline:g} s.") from None
            except CONNECTION_EXCEPTIONS as error:
                self._hosts.turn()
                refusal = error
        assert refusal is not None
        raise BrokerUnavailable(
            f"RabbitMQ cannot be reached: {refusals.text(refusal)}. Is it up, is its URL right?"
        ) from refusal

    async def _declare(
        self, link: Link, consumers: Iterable[topology.Consumer], *, known: Collection[str] = ()
    ) -> Declared:
        found = Declared()
        try:
            with refusals.told_of_a_loss():
                await topology.declare(link.channel, consumers, found=found, known=known)
            self._note(found.conflicts)
        except CONNECTION_EXCEPTIONS as error:
            raise BrokerUnavailable(f"RabbitMQ does not let its queues be declared: {refusals.text(error)}.") from error
        finally:
            self.made |= found.made
        return found

    def _note(self, conflicts: Sequence[str]) -> None:
        more = f" And {len(conflicts) - 1} more." if len(conflicts) > 1 else ""
        conflict = f"{conflicts[0]}{more}" if conflicts else None
        if conflict is not None and conflict != self._conflict:
            log.warning("topology conflict", reason=conflict)
        self._conflict = conflict

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            self._say_goodbye(link)

    def _say_goodbye(self, link: Link) -> None:
        task = asyncio.create_task(link.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _attempt_ended(self, attempt: asyncio.Task[None]) -> None:
        self._attempt = None
        if not attempt.cancelled():
            attempt.exception()  # whoever waited has it; when all of them were cancelled nobody does
