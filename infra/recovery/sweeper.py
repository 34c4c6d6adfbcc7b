"""The sweep as a duty: it goes over every recorded consumer again and again, and shows where each stands."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from infra.database import consumers, event_log, positions
from infra.database.engine import Database
from infra.database.positions import Standing
from infra.database.tables import Subscription
from infra.recovery.queues import Broker, Queues
from infra.recovery.standings import Standings
from infra.recovery.sweeping import Sweeping

#: Seconds between two passes, and between two that have more to do.
PAUSE, SOON = 2.0, 0.25


class Sweeper:
    """Sends again what was lost on its way to a consumer."""

    def __init__(self, database: Database, broker: Broker, *, grace: float, timeouts: Mapping[str, float]) -> None:
        """Remember; `grace` and each consumer's timeout are in seconds."""
        self._database = database
        self._queues = Queues(database, broker)
        self._standings = Standings()
        self._sweeping = Sweeping(
            database,
            self._queues,
            grace=timedelta(seconds=grace),
            patience=lambda consumer: timedelta(seconds=max(grace, timeouts.get(consumer, 0.0))),
        )

    def step(self) -> float:
        """One pass over every consumer that has not settled all: fifty that have nothing to do cost no query each."""
        with self._database.reading() as session:
            rows, last = consumers.declared(session), event_log.last_position(session)
            self._pass_over(rows, positions.unconcerned(session, rows, last), last)
            late = positions.behind(session, rows, last)
        self._queues.look(rows)
        swept = [self._sweeping.sweep(row) for row in late]
        self._standings.show(self._standing() if late else {row.consumer: positions.calm(row, last) for row in rows})
        return SOON if any(each.more for each in swept) else PAUSE

    def _pass_over(self, rows: Sequence[Subscription], names: Sequence[str], last: int) -> None:
        """In one transaction for all of those whose types are not among what has come."""
        if names:
            self._database.run(partial(positions.pass_over, names=names, last=last))
        for row in rows:
            row.scanned = last if row.consumer in names else row.scanned

    def _standing(self) -> Mapping[str, Standing]:
        with self._database.reading() as session:
            return positions.standing(session)
