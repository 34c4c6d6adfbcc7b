"""Putting the broker right: what is missing is made, what is too much unbound, and queues are made anew."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from infra.database import consumers
from infra.database.engine import Database
from infra.rabbitmq import moving
from infra.rabbitmq.blocking import BlockingPublisher
from infra.rabbitmq.management import Management
from infra.relaying import emptying
from infra.subscriptions import Subscription
from infra.topology.comparing import Difference
from infra.topology.looking import Looked, look
from infra.topology.migrating import Migrating

#: Seconds that all declarations together may take.
_DECLARED = 120.0
Tell = Callable[[str], None]


class Applying:
    """One run; interrupted anywhere, a further run does what is left."""

    def __init__(self, database: Database, publisher: BlockingPublisher, management: Management, tell: Tell) -> None:
        self._database = database
        self._publisher = publisher
        self._management = management
        self._tell = tell

    def apply(self, recorded: Sequence[Subscription], *, delete_orphans: bool) -> list[Difference]:
        """Put everything right that can be; gives what is left.

        Raises:
            BrokerUnavailable: the broker is away.
            DatabaseUnavailable: the database is.
            NotPossible: a consumer does not let go of its queue.
        """
        looked = self._look(recorded)
        if any(each.kind == "record" for each in looked.differences):
            self._tell("recording consumers")
            self._database.run(partial(consumers.declare, subscriptions=recorded))
        self._declare(looked)
        self._unbind(looked.differences)
        self._migrate(looked)
        if delete_orphans:
            self._delete_orphans(looked)
        return self._look(recorded).differences

    def _look(self, recorded: Iterable[Subscription]) -> Looked:
        return look(self._database, self._management, recorded)

    def _declare(self, looked: Looked) -> None:
        """Also before a migration: one that was interrupted may have left no queue."""
        self._tell("declaring what is missing")
        try:
            self._publisher.inspect(looked.wanted.declared()).result(_DECLARED)
        finally:
            emptying.write_down_now(self._database, self._publisher.made)

    def _unbind(self, found: Iterable[Difference]) -> None:
        for each in found:
            if each.kind == "unbinding":
                self._tell(f"unbinding {each.name} from {each.exchange} by {each.key}")
                binding = [(each.exchange or "", each.key or "")]
                self._publisher.work(partial(moving.unbind, queue=each.name, bindings=binding))

    def _migrate(self, looked: Looked) -> None:
        migrating = Migrating(self._database, self._publisher, self._management, self._tell)
        others = {each.name for each in looked.differences if each.kind == "arguments"}
        left = {each.name for each in looked.differences if each.kind == "migration"}
        for name in sorted(others | left):
            queue = looked.wanted.queues[name]
            if name in others:
                migrating.migrate(queue, looked.present.bindings)
            else:
                migrating.complete(queue)

    def _delete_orphans(self, looked: Looked) -> None:
        for name in (each.name for each in looked.differences if each.kind == "orphan"):
            bound = [(each.exchange, each.key) for each in looked.present.bindings if each.queue == name]
            if looked.present.queues[name].unacked or self._is_used(name):
                self._tell(f"{name} stays: it is in use, or holds messages")
                continue
            self._publisher.work(partial(moving.unbind, queue=name, bindings=bound))
            if not self._is_used(name):
                self._publisher.work(partial(moving.delete, queue=name))
                self._tell(f"{name} is deleted")

    def _is_used(self, name: str) -> bool:
        found = self._publisher.work(partial(moving.level, queue=name))
        return found is not None and bool(found.messages or found.consumers)
