"""A queue with other arguments: its messages go to a helper, it is made anew, and they come back.

Meanwhile the helper is bound to what the queue is bound to, so an event that is published at any moment is in one of
them, or in both, which the inbox bears. Each step may be done twice, so whoever finds a helper completes the work.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlmodel import Session

from infra.database import emptied, pauses
from infra.database.engine import Database
from infra.database.pauses import OPERATOR
from infra.errors import NotPossible
from infra.rabbitmq import moving
from infra.rabbitmq.blocking import BlockingPublisher
from infra.rabbitmq.management import Binding, Management
from infra.rabbitmq.moving import Sent, Taken
from infra.rabbitmq.topology import EVENTS, NO_DELIVERY_LIMIT, Queue
from infra.topology.comparing import MIGRATING

#: Header: the routing key of a message that lies in a helper, where that is not its queue's name.
KEY = "x-tidings-routing-key"
#: The reason of the pause while a queue is made anew; whoever is interrupted leaves it to the next.
REASON = "its queue is made anew: ./tidings topology apply completes it"
#: Seconds after its declaration in which a broker that is killed loses a quorum queue, and what it confirmed for it.
_YOUNG = 2.0
#: Seconds that workers have to let go of a queue, and that their handlers have to end.
_LET_GO, _END = 30.0, 120.0
#: Seconds after which the management API knows what was: the queue tells it every 5 s, and it tells every 5 s.
_KNOWN = 11.0
_POLL = 0.25


class Migrating:
    """Works on one queue after the other; `tell` is told how far it is."""

    def __init__(
        self, database: Database, publisher: BlockingPublisher, management: Management, tell: Callable[[str], None]
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._management = management
        self._tell = tell

    def migrate(self, queue: Queue, bindings: Iterable[Binding]) -> None:
        """Make a queue anew that exists with other arguments; `bindings` are those that it has.

        Raises:
            BrokerUnavailable: interrupted; a second call completes it.
            NotPossible: its consumer does not let go of it; everything is as it was.
        """
        helper, unbound = _helper(queue), [(each.exchange, each.key) for each in bindings if each.queue == queue.name]
        self._tell(f"{queue.name}: its messages go to {helper.name}")
        if not self._publisher.work(partial(moving.prepare, queue=helper)):
            time.sleep(_YOUNG)
        self._move(queue.name, partial(_away, queue, helper.name), "moved away", unbound)
        try:
            with self._at_rest(queue):
                self._replace(queue, helper, unbound)
        except NotPossible:
            self._publisher.work(partial(moving.prepare, queue=queue))
            self.complete(queue)
            raise
        self.complete(queue)

    def complete(self, queue: Queue) -> None:
        """Bring back what a helper holds, to a queue that is as it should be, and delete the helper."""
        helper = _helper(queue)
        self._tell(f"{queue.name}: its messages come back from {helper.name}")
        time.sleep(_YOUNG)
        self._database.run(partial(_resume, consumer=queue.name))
        unbound = [(helper.exchange, key) for key in helper.keys]
        self._move(helper.name, partial(_back, queue), "came back", unbound)
        # What has come since its end was bound to the queue as well: that has it, too.
        self._publisher.work(partial(moving.delete, queue=helper.name))

    def _replace(self, queue: Queue, helper: Queue, unbound: list[tuple[str, str]]) -> None:
        away = partial(_away, queue, helper.name)
        gone = self._publisher.work(partial(moving.replace, queue=queue, turn=away, unbound=unbound))
        if gone:  # the sweep sends these again
            self._database.run(partial(emptied.note, made={queue.name: datetime.now(UTC)}))
        self._tell(f"{queue.name}: made anew")

    def _move(self, source: str, turn: moving.Turn, what: str, unbound: list[tuple[str, str]]) -> None:
        """Empty a queue; programs that declare bind it again meanwhile."""
        moved = 0
        self._publisher.work(partial(moving.unbind, queue=source, bindings=unbound))
        while self._waits(source):
            moved += self._publisher.work(partial(moving.move, queue=source, turn=turn))
            self._tell(f"{source}: {moved} {what}")
            self._publisher.work(partial(moving.unbind, queue=source, bindings=unbound))

    def _waits(self, queue: str) -> bool:
        found = self._publisher.work(partial(moving.level, queue=queue))
        return found is not None and found.messages > 0

    @contextmanager
    def _at_rest(self, queue: Queue) -> Iterator[None]:
        """Meanwhile no worker has anything of the queue; what is unacked when a queue goes is not given out again."""
        is_ours = queue.exchange == EVENTS and self._database.run(partial(_pause, consumer=queue.name))
        try:
            had = self._consumers(queue.name)
            if queue.exchange == EVENTS:
                self._await(
                    lambda: not self._consumers(queue.name), _LET_GO, f"{queue.name}: workers still take from it"
                )
            if had:
                self._tell(f"{queue.name}: waiting for what is at work")
                time.sleep(_KNOWN)
            self._await(lambda: not self._unacked(queue.name), _END, f"{queue.name}: its messages are still at work")
            yield
        finally:
            if is_ours:
                self._database.run(partial(_resume, consumer=queue.name))

    def _consumers(self, queue: str) -> int:
        found = self._publisher.work(partial(moving.level, queue=queue))
        return 0 if found is None else found.consumers

    def _unacked(self, queue: str) -> int:
        found = self._management.queues().get(queue)
        return 0 if found is None else found.unacked

    def _await(self, is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
        until = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > until:
                raise NotPossible(f"{otherwise} after {seconds:g} s: nothing was changed, try again when less happens.")
            time.sleep(_POLL)


def _helper(queue: Queue) -> Queue:
    """Takes what the queue would, and keeps it, whatever happens to it."""
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": NO_DELIVERY_LIMIT,
        "x-description": f"What {queue.name} held, while that is made anew: ./tidings topology apply completes it",
    }
    return replace(queue, name=queue.name + MIGRATING, arguments=arguments)


def _away(queue: Queue, helper: str, taken: Taken) -> Sent:
    """To the helper; what is not addressed to the queue by name keeps its own routing key beside."""
    headers = _headers(queue, taken)
    if queue.exchange != EVENTS:
        headers.setdefault(KEY, taken.key)
    return Sent("", helper, taken.with_headers(headers))


def _back(queue: Queue, taken: Taken) -> Sent:
    """To the queue by name; or, as it came first, through its exchange."""
    headers = _headers(queue, taken)
    if queue.exchange == EVENTS:
        return Sent("", queue.name, taken.with_headers(headers))
    return Sent(queue.exchange, str(headers.pop(KEY, taken.key)), taken.with_headers(headers))


def _headers(queue: Queue, taken: Taken) -> dict[str, Any]:
    """Without the broker's own, except where they tell who gave the message up."""
    return taken.headers if queue.exchange == EVENTS else dict(taken.properties.headers or {})


def _pause(session: Session, consumer: str) -> bool:
    """Whether the pause is this work's, by this call or by an earlier one that was interrupted."""
    return pauses.pause(session, consumer, OPERATOR, REASON) or _is_ours(session, consumer)


def _resume(session: Session, consumer: str) -> None:
    if _is_ours(session, consumer):
        pauses.resume(session, consumer)


def _is_ours(session: Session, consumer: str) -> bool:
    row = pauses.paused(session).get(consumer)
    return row is not None and row.reason == REASON
