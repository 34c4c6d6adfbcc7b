"""What may happen to any world: to its broker, its connections, its dead letters and its leases.

Whoever builds on this adds what else happens, as rules, and what must hold after each of them, as invariants.
"""

import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from infra.database.engine import Database, connect
from infra.rabbitmq.topology import DEAD_LETTERS, TIERS
from tests.model import processes
from tests.model.broker import Item
from tests.model.world import FINE, World

ANY_FAULTS = [processes.ACK_LOST, *processes.DATABASE_AWAY]
KEEPER_FAULTS = ["keeper.before-commit", "keeper.before-ack", *ANY_FAULTS]
#: A file that needs not outlive a machine, where there is such a place.
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
picks = st.integers(0, 10_000)


def maybe(faults: list[str]) -> st.SearchStrategy[str | None]:
    return st.one_of(st.none(), st.sampled_from(faults))


class Machine(RuleBasedStateMachine):
    """One world, from empty to drained."""

    #: Makes a migrated, empty database in a folder of its own; gives its URL.
    fresh: ClassVar[Callable[[Path], str]]
    world: World

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="tidings-model-", dir=_MEMORY))
        self.world = self._made(connect(type(self).fresh(self._folder)), self._folder)
        self.broker = self.world.broker

    @abstractmethod
    def _made(self, database: Database, folder: Path) -> World:
        """The world, empty."""

    @abstractmethod
    def _end(self) -> None:
        """Let everything that is under way come to its end, and look whether that is the right one."""

    def _pick(self, items: Sequence[Any], number: int) -> Any:
        return items[number % len(items)]

    def _waiting(self) -> Sequence[Item]:
        """What is in the queues of the consumers."""
        return self.broker.waiting(*self.world.consumers)

    @precondition(lambda self: self._waiting())
    @rule(pick=picks)
    def deliver_slowly(self, pick: int) -> None:
        """It is in the worker's hands, and others overtake it."""
        self.broker.take(self._pick(self._waiting(), pick))

    @precondition(lambda self: self.broker.in_flight)
    @rule()
    def lose_connection(self) -> None:
        self.broker.lose_connection()

    @precondition(lambda self: self._waiting())
    @rule(pick=picks)
    def duplicate(self, pick: int) -> None:
        self.broker.publish(processes.addressed(self._pick(self._waiting(), pick)))

    @precondition(lambda self: self._waiting())
    @rule(pick=picks)
    def give_up(self, pick: int) -> None:
        """Too many deliveries ended without a word."""
        self.broker.give_up(self._pick(self._waiting(), pick), "delivery_limit")

    @precondition(lambda self: self.broker.waiting(*TIERS.values()))
    @rule(pick=picks)
    def expire(self, pick: int) -> None:
        self.world.expire(self._pick(self.broker.waiting(*TIERS.values()), pick))

    @precondition(lambda self: self.broker.waiting(DEAD_LETTERS))
    @rule(pick=picks, fault=maybe(KEEPER_FAULTS))
    def keep(self, pick: int, fault: str | None) -> None:
        self.world.deliver(self._pick(self.broker.waiting(DEAD_LETTERS), pick), FINE, fault)

    @precondition(lambda self: self.world.seen.letters)
    @rule(pick=picks, force=st.booleans())
    def replay(self, pick: int, force: bool) -> None:
        self.world.replay([self._pick(self.world.seen.letters, pick).id], force=force)

    @precondition(lambda self: self.broker.all())
    @rule(pick=picks)
    def lose_queue(self, pick: int) -> None:
        """One that has something in it, or at work."""
        self.world.lose_queue(self._pick(self.broker.all(), pick).queue)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    @rule()
    def leases_end(self) -> None:
        self.world.leases_end()

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self.world.database.close()
            shutil.rmtree(self._folder)
