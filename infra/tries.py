"""A message that could be read, and what is known of this try to bring it to its consumer."""

from dataclasses import dataclass
from datetime import UTC, datetime

from events import causes
from events.envelope import Envelope, decode
from events.errors import UndecodableEvent
from infra.database import inbox
from infra.evidence import LONGEST_ERROR, one_line
from infra.outcomes import Done, Incoming, Park
from infra.subscriptions import Subscription


@dataclass(frozen=True, slots=True)
class Try:
    """A message that could be read, and what is known of this try."""

    incoming: Incoming
    envelope: Envelope
    delivery: inbox.Delivery

    @property
    def consumer(self) -> str:
        """Whose it is."""
        return self.delivery.consumer

    @property
    def is_replay(self) -> bool:
        """It is told anew: by an operator's replay, or by a backfill."""
        return self.incoming.replay or self.incoming.backfilled_at is not None

    @property
    def since(self) -> datetime:
        """From when its age counts: of an event of the past, from when it was sent."""
        return max(self.envelope.time, self.incoming.backfilled_at or self.envelope.time)

    @property
    def looks_new(self) -> bool:
        """Nothing says that the event was here before."""
        return not self.incoming.redelivered and self.incoming.attempt == 1 and not self.incoming.replay


def read(subscription: Subscription, incoming: Incoming) -> Try | Park | Done:
    """Decode it; what cannot be read, or goes round in a loop, is parked, and what is not for its consumer is done."""
    try:
        envelope = decode(incoming.body)
    except UndecodableEvent as error:
        return Park(error.reason, one_line(str(error)))
    if not subscription.takes(envelope.type):
        return Done()  # a binding from before its `to=` was changed
    chain = envelope.causation_types
    if chain is not None and (problem := causes.loop(envelope.type, chain)) is not None:
        return Park("loop", one_line(problem)[:LONGEST_ERROR])
    now, who = datetime.now(UTC), subscription.consumer
    is_past = incoming.backfilled_at is not None
    delivery = inbox.Delivery(envelope.id, who, incoming.attempt, now, subscription.ordered, envelope.subject, is_past)
    return Try(incoming, envelope, delivery)
