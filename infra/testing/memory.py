"""The road in memory, from the outbox to the dead letters: nothing on it happens by itself."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from events.envelope import Envelope
from infra.database import outbox
from infra.database.engine import Database
from infra.outcomes import Hold, Outcome
from infra.rabbitmq.topology import DEAD_LETTERS
from infra.recovery.keeping import Keeper
from infra.subscriptions import Subscription
from infra.testing import copies
from infra.testing.listening import Crashed
from infra.testing.queues import Item, Queues
from infra.testing.relaying import Relay
from infra.testing.stage import Stage
from infra.testing.told import KitError, Settled, Told

#: Tries within one `settle`: whoever needs more has events that cause one another.
MOST = 20_000
#: Times that a message may be held in one `settle`.
_MOST_HELD = 100


class Memory:
    """Runs in the test's own thread."""

    def __init__(self, database: Database, stage: Stage) -> None:
        self._database = database
        self._stage = stage
        self._queues = Queues()
        self._relay = Relay(database, self._queues.publish)
        self._keeper = Keeper(database)
        self._cast: list[Subscription] = []
        self._held = 0

    def cast(self, subscriptions: Iterable[Subscription]) -> None:
        """These take part from now on."""
        self._cast = list(subscriptions)
        self._queues.bind(self._cast)

    def log(self, envelope: Envelope) -> None:
        """Have an event published already, to nobody."""
        self._relay.log(envelope)

    def deliver(
        self, subscription: Subscription, bodies: Sequence[bytes], *, attempt: int, redelivered: bool
    ) -> list[Told]:
        """Bring these to one consumer; what fails goes on from there."""
        items = [Item(copies.first(subscription.consumer, body, attempt), redelivered) for body in bodies]
        return self._play(subscription, items)

    def settle(self) -> Settled:
        """Everything that is due."""
        settled, self._held = Settled(), 0
        while self._step(settled):
            if len(settled.told) > MOST:
                types = sorted({told.envelope.type for told in settled.told[-100:] if told.envelope})
                raise KitError(f"This does not end: {MOST} tries, the last ones of {', '.join(types)}.")
        self.keep()
        return settled

    def keep(self) -> None:
        """Write down what was given up."""
        while items := self._queues.take(DEAD_LETTERS):
            self._keeper.keep([item.incoming for item in items])

    def stop(self) -> None:
        """Nothing runs by itself."""

    @property
    def next_due(self) -> datetime | None:
        """When something is due that waits now."""
        with self._database.reading() as session:
            later = outbox.next_at(session)
        return min((due for due in (later, self._queues.next_return) if due is not None), default=None)

    def _step(self, settled: Settled) -> bool:
        """One turn of everything; whether anything happened."""
        relayed = self._relay.relay()
        self._queues.return_due()
        told = [each for subscription in self._cast for each in self._work(subscription)]
        settled.relayed += relayed
        settled.told += told
        return bool(relayed or told)

    def _work(self, subscription: Subscription) -> list[Told]:
        """What waits in one queue now, as one worker would take it."""
        told: list[Told] = []
        most = subscription.batch.size if subscription.batch else 1
        while (items := self._queues.take(subscription.consumer, most)) and self._held < _MOST_HELD:
            told += self._play(subscription, items)
        if items:
            raise KitError(f"{subscription.consumer} holds its events back: {told[-1] if told else 'again and again'}")
        return told

    def _play(self, subscription: Subscription, items: Sequence[Item]) -> list[Told]:
        try:
            told = self._stage.play(subscription, [item.incoming for item in items])
        except Crashed:  # the broker gives what was not acknowledged to another process
            for item in items:
                self._queues.give_back(subscription.consumer, item)
            return []
        for item, each in zip(items, told, strict=True):
            self._go_on(subscription.consumer, item, each.outcome)
        return told

    def _go_on(self, consumer: str, item: Item, outcome: Outcome) -> None:
        copy = copies.after(item.message, outcome, consumer=consumer, attempt=item.incoming.attempt)
        if copy is not None:
            self._queues.publish(copy)
        elif isinstance(outcome, Hold):
            self._held += 1
            self._queues.give_back(consumer, item)
