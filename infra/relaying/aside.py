"""What the relay does beside the outbox: it sends to single queues what is told again, and what is of the past."""

from infra.database.engine import Database
from infra.rabbitmq.publisher import Publisher
from infra.relaying.holds import Holds
from infra.relaying.past import Past
from infra.relaying.queues import Queues
from infra.relaying.reading import Reading
from infra.relaying.resending import Resending


class Aside:
    """New events come first: beside a full batch of them there is a look each second, beside others a slice."""

    def __init__(self, database: Database, reading: Reading, publisher: Publisher, holds: Holds) -> None:
        self._queues = [Queues(publisher, holds.like(), what=what) for what in ("resend", "backfill")]
        self._resending = Resending(database, reading, self._queues[0])
        self._past = Past(database, reading, publisher, self._queues[1])

    @property
    def problem(self) -> str | None:
        """Why something waits here, in one line."""
        return next((each.holds.problem for each in self._queues if each.holds.problem is not None), None)

    def seconds(self) -> list[float]:
        """Times until something may be tried again."""
        return [
            each
            for each in (*(queues.holds.seconds() for queues in self._queues), self._past.seconds())
            if each is not None
        ]

    async def turn(self, *, is_idle: bool, is_behind: bool) -> bool:
        """A piece of each work, beside no new events, or so many that more wait; whether there may be more at once.

        Raises:
            BrokerUnavailable: the connection was lost.
            DatabaseUnavailable: the database is away.
        """
        more = await self._resending.turn() if is_idle or self._resending.is_due else False
        if is_idle or (self._past.is_under_way and not is_behind) or self._past.is_due:
            more = await self._past.turn() or more
        return more
