"""When what came into a queue must be lost: the rules of the sweep, as moments before which nothing is left there.

A queue gives out in the order in which it took in. So what came into it is gone from it when it was made anew since,
when it was seen empty since, or when what came much later has been given out. And what was given out long ago has
been settled, has failed, or has gone back by now.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from infra.database.settling import Open
from infra.database.unsettled import NEVER, Before
from infra.rabbitmq.topology import DEAD_LETTERS, TIERS

#: A queue that is made anew misses what is published until it is bound, and the log has that with the time of its
#: confirm's record, which comes a little later.
MARGIN = timedelta(seconds=2)


#: What all consumers share.
_SHARED = (*TIERS.values(), DEAD_LETTERS)


@dataclass(frozen=True, slots=True)
class Losses:
    """What is known of one consumer's queue, and of those that all consumers share."""

    consumer: str
    #: Queue -> when it was last made anew.
    made: Mapping[str, datetime]
    #: What came into the consumer's queue before has left it, and is not at work any more.
    through: datetime
    #: The same of the dead letters' queue.
    parked_through: datetime

    @property
    def before(self) -> Before:
        """From which moments back what nobody settled is lost, or may be: see `has`."""
        made = self._made(self.consumer)
        return Before(
            published=max(_with_margin(made), self.through),
            queued=max(made, self.through),
            delayed=max(self._made(tier) for tier in TIERS.values()),
            parked=max(self._made(DEAD_LETTERS), self.parked_through),
        )

    def has(self, event: Open) -> bool:
        """Whether one that `unsettled.lost` gave for these moments is lost: that does not know which tier it was in."""
        if event.state != "retrying" or event.failed_at is None or event.retry_at is None:
            return True
        if event.resent_at is not None and event.resent_at > event.failed_at:
            return True
        if event.retry_at < self.before.queued:
            return True
        waits = (event.retry_at - event.failed_at).total_seconds()
        tier = TIERS[min(TIERS, key=lambda seconds: abs(seconds - waits))]
        return event.failed_at < self._made(tier) < event.retry_at + MARGIN

    def _made(self, queue: str) -> datetime:
        return self.made.get(queue, NEVER)


def horizon(made: Mapping[str, datetime], consumer: str, now: datetime, grace: timedelta) -> datetime:
    """How new the events are that are looked at: beyond the ordinary ones only after a queue was made anew."""
    last = max(made.get(queue, NEVER) for queue in (consumer, *_SHARED))
    return min(now, max(now - grace, _with_margin(last)))


def _with_margin(made: datetime) -> datetime:
    return made + MARGIN if made > NEVER else NEVER
