"""Sending to single queues: what one of them does not take now is held back, and the others go on."""

from collections.abc import Callable, Sequence

import structlog

from infra.database.outbox import Due
from infra.errors import BrokerUnavailable, ChannelRefused, MessageRefused, NotConfirmed, TidingsError, Unroutable
from infra.rabbitmq.messages import Message
from infra.rabbitmq.publisher import Publisher
from infra.relaying import batches
from infra.relaying.batches import Result
from infra.relaying.holds import Holds

log = structlog.get_logger(__name__)


def addressed(number: int, name: str, consumer: str) -> Due:
    """In the shape that the relay's parts take: where it goes depends on its consumer, as an event's on its type."""
    return Due(number, name, consumer, None, "", 0)


class Queues:
    """The relay's way to queues by their names; one for each kind of work, since each holds back what is its own."""

    def __init__(self, publisher: Publisher, holds: Holds, *, what: str) -> None:
        """Remember; `what` it is that is sent is said when it cannot be."""
        self._publisher = publisher
        self._what = what
        self.holds = holds
        #: Messages to send one by one, to find the one that cost us the channel.
        self._one_by_one = 0

    def choose(self, rows: Sequence[Due]) -> Sequence[Due]:
        """Those of these that may be sent together now."""
        together, _ = self.holds.choose(rows)
        return together[:1] if self._one_by_one else together

    async def send(self, rows: Sequence[Due], message: Callable[[Due], Message]) -> Result:
        """Send them in their order and wait for the confirms."""

        async def publish(row: Due) -> None:
            await self._publisher.publish(message(row))

        return await batches.publish(rows, publish)

    async def learn(self, result: Result, tried: int) -> None:
        """Draw the conclusions, when what was sent is written down.

        Raises:
            BrokerUnavailable: the connection was lost.
        """
        for row in result.confirmed:
            self.holds.published(row)
        for row, error in result.failed.values():
            if isinstance(error, MessageRefused):
                log.error(
                    "message cannot be sent",
                    what=self._what,
                    consumer=row.type,
                    event_id=row.event_id,
                    error=str(error),
                )
            elif isinstance(error, NotConfirmed) or not isinstance(error, BrokerUnavailable):
                self._hold(row, error)
        if isinstance(result.lost, ChannelRefused):
            self._one_by_one = tried
        elif self._one_by_one:
            self._one_by_one -= 1
        if result.lost is not None:
            raise result.lost
        if any(isinstance(error, Unroutable) for _, error in result.failed.values()):
            await self._publisher.declare_again()

    def _hold(self, row: Due, error: TidingsError) -> None:
        if self.holds.failed(row, error):
            log.warning("message not sent", what=self._what, consumer=row.type, event_id=row.event_id, error=str(error))
