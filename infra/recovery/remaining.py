"""What is left for a consumer that retires, in the database and on the broker."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from infra.database import positions, retirements, settling, unsettled
from infra.database.engine import Database
from infra.database.tables import Subscription
from infra.rabbitmq.moving import Level

#: How long after its time a retry is in its queue again.
MARGIN = timedelta(seconds=3)
#: Rows of the log in one slice, and rows that the scan may leave behind.
_SLICE, _MOST_UNSETTLED = 1_000, 10_000


@dataclass(frozen=True, slots=True)
class Left:
    """What is left for a consumer."""

    #: Events up to its retirement that are not settled.
    open: int
    #: Messages that wait in its queue, and that the database has for it.
    queued: int
    elsewhere: int
    workers: int
    #: When its last retry returns.
    returns_at: datetime | None

    @property
    def is_nothing(self) -> bool:
        """Whether all of it has ended."""
        return not (self.open or self.queued or self.elsewhere or self.returns)

    @property
    def returns(self) -> bool:
        """Whether a retry is to return."""
        return is_to_come(self.returns_at)


def is_to_come(returns_at: datetime | None) -> bool:
    """Whether a retry with this time may not be back yet."""
    return returns_at is not None and returns_at + MARGIN > datetime.now(UTC)


def left(database: Database, row: Subscription, until: int, level: Level | None, returns_at: datetime | None) -> Left:
    """Look once; `until` is the log's last position when it was retired."""
    with database.reading() as session:
        fresh = retirements.find(session, row.consumer) or row
        return Left(
            open=positions.of(session, fresh, until).lag_events,
            queued=0 if level is None else level.messages,
            elsewhere=retirements.count_elsewhere(session, row.consumer),
            workers=0 if level is None else level.consumers,
            returns_at=returns_at,
        )


def scan(database: Database, row: Subscription, until: int) -> bool:
    """Bring the scan of the log up to the retirement, a slice in each step; whether there is more."""
    with database.reading() as session:
        done = unsettled.settled_now(session, row.consumer)[:_SLICE]
        room = _MOST_UNSETTLED - unsettled.count(session, row.consumer)
        end = settling.slice_end(session, row.types, row.scanned, until, _SLICE)
        found = settling.between(session, row.consumer, row.types, row.scanned, end)
    if done:
        database.run(partial(unsettled.remove, consumer=row.consumer, positions=done))
    if room <= 0 or row.scanned >= until:
        return bool(done)
    advance = partial(positions.advance, consumer=row.consumer, before=row.scanned, end=end, left=found)
    return database.run(advance) and end < until
