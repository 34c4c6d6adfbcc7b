"""The road for an ordered consumer in two processes: what happens may overlap, and each subject keeps its order."""

import contextlib
from typing import Any, ClassVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from events.users import UserRegistered
from infra.database.engine import Database
from infra.effects import Intent
from infra.errors import NotKnown, NotPossible
from infra.recovery import turns
from infra.recovery.turning import Turning
from infra.retrying import Retry
from infra.subscriptions import Context, Subscription
from tests.model.broker import Item
from tests.model.machine import maybe, picks
from tests.model.road import Road
from tests.model.world import FINE, SUBJECTS, TYPE, World

LEDGER = "ledger"
#: Where a process dies while it keeps the order.
ORDER_FAULTS = ["ordering.after-waiting", "ordering.before-wake"]


class OrderedWorld(World):
    """Two processes take turns, and one may be at work in the middle of the other's work."""

    consumers: ClassVar[tuple[str, ...]] = (LEDGER,)

    def __init__(self, database: Database) -> None:
        self._meanwhile: list[Item] = []
        #: Events whose mails went out, each at its first.
        self.mailed: list[str] = []
        #: Events that an operator had delivered again, in whatever place.
        self.replayed: set[str] = set()
        super().__init__(database)
        self._other = (self._mortal, self._deliveries, self._workers)
        self.start()

    def start(self) -> None:
        super().start()
        self._deliveries._ordering._pause = lambda _: None  # nothing changes while it waits here

    def subscription(self, name: str) -> Subscription:
        return Subscription(name, (TYPE,), self._handle, retry=Retry(delays=(5, 30)), ordered=True)

    def switch(self) -> None:
        """Go on in the other process."""
        other, self._other = self._other, (self._mortal, self._deliveries, self._workers)
        self._mortal, self._deliveries, self._workers = other

    def overlap(self, first: Item, second: Item) -> None:
        """Bring a message to one process, and another to the other while the first one's handler runs."""
        self._meanwhile = [second]
        self.deliver(first)
        self._meanwhile = []

    def deliver_backwards(self) -> None:
        """The last one first, so that all but one of a subject have to wait."""
        for item in reversed(self.broker.waiting(LEDGER)):
            self.deliver(item)

    def replay(self, letter_ids: Any, *, force: bool) -> None:
        self.replayed |= {row.event_id for row in self.seen.letters if row.id in letter_ids}
        super().replay(letter_ids, force=force)

    def skip(self, subject: UUID) -> None:
        """An operator has a subject go on without what blocks it."""
        self._seen = None
        with contextlib.suppress(NotKnown, NotPossible), self.database.transaction() as session:
            turns.skip(session, LEDGER, str(subject), who="me", why="it blocks")

    def tend(self) -> None:
        self._seen = None
        Turning(self.database).step()

    def _handle(self, event: UserRegistered, context: Context) -> None:
        if self._meanwhile and (item := self._meanwhile.pop()) in self.broker.waiting(LEDGER):
            behaviour = self._behaviour
            self.switch()
            self.deliver(item)
            self.switch()
            self._behaviour = behaviour
        super()._handle(event, context)

    def _send(self, intent: Intent) -> None:
        before = self.mails[intent.event_id, intent.consumer]
        try:
            super()._send(intent)
        finally:
            if before == 0 and self.mails[intent.event_id, intent.consumer]:
                self.mailed.append(intent.event_id)


class OrderedRoad(Road):
    """One such world."""

    world: OrderedWorld
    world_of = OrderedWorld

    @rule()
    def switch(self) -> None:
        self.world.switch()

    @rule()
    def tend(self) -> None:
        self.world.tend()

    @rule(subject=st.sampled_from(SUBJECTS))
    def skip(self, subject: UUID) -> None:
        self.world.skip(subject)

    @precondition(lambda self: len(self.broker.waiting(LEDGER)) > 1)
    @rule()
    def deliver_backwards(self) -> None:
        self.world.deliver_backwards()

    @precondition(lambda self: len(self.broker.waiting(LEDGER)) > 1)
    @rule(first=picks, second=picks)
    def overlap(self, first: int, second: int) -> None:
        waiting = self.broker.waiting(LEDGER)
        one = self._pick(waiting, first)
        self.world.overlap(one, self._pick([each for each in waiting if each is not one], second))

    @precondition(lambda self: self.broker.waiting(LEDGER))
    @rule(pick=picks, fault=maybe(ORDER_FAULTS))
    def deliver_and_die(self, pick: int, fault: str | None) -> None:
        self.world.deliver(self._pick(self.broker.waiting(LEDGER), pick), FINE, fault)

    @invariant()
    def the_events_of_a_subject_take_effect_in_the_order_of_the_log(self) -> None:
        world = self.world
        for done in ([event for event, _ in world.seen.order], world.mailed):
            for events in world.registered.values():
                mine = [event for event in done if event in events and event not in world.replayed]
                assert sorted(mine, key=events.index) == mine
