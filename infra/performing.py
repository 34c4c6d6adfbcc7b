"""Effects after the commit: performed once as far as the world outside allows, and marked as soon as they happened."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock

from infra import commits, owners
from infra.database import effects, inbox
from infra.database.engine import Database
from infra.effects import Intent, Performer
from infra.errors import Busy, EffectRefused, EffectUnknown
from infra.evidence import text_of
from infra.faults import failpoint

#: Seconds; effects that took longer are looked at again before the next one is performed.
_QUICK = 1.0


class Performing:
    """Performs intents for one process."""

    def __init__(self, database: Database, performers: Mapping[str, Performer], owner: str | None = None) -> None:
        self.owner = owner or owners.name()
        self._database = database
        self._performers = performers
        self._at_work: set[tuple[str, str]] = set()
        self._lock = Lock()
        #: Effects that happened and could not be marked yet: the database went away in between.
        self._unmarked: set[str] = set()

    @contextmanager
    def sole(self, delivery: inbox.Delivery) -> Iterator[None]:
        """Let only one copy of an event at a consumer be worked on in this process.

        Raises:
            Busy: another copy is.
        """
        key = (delivery.event_id, delivery.consumer)
        with self._lock:
            if key in self._at_work:
                raise Busy("Another delivery of this event is at work in this process.")
            self._at_work.add(key)
        try:
            yield
        finally:
            self._at_work.discard(key)

    def owed(self, delivery: inbox.Delivery) -> Sequence[Intent]:
        """What an earlier delivery left undone; a delivery that owes nothing is handled.

        Raises:
            Busy: the process that began it may be at work on it.
        """
        with self._database.transaction() as session:
            intents = effects.take(session, delivery.event_id, delivery.consumer, self.owner)
            if not intents:
                inbox.settle(session, delivery.event_id, delivery.consumer)
        return intents

    def anew(self, intents: Sequence[Intent]) -> Sequence[Intent]:
        """What a handler that has just run intends: that it happened after an earlier run is no reason to leave it out.

        Whoever forces a replay wants it again, and another process may have brought the earlier run to its end.
        """
        self._unmarked.difference_update([intent.key for intent in intents])
        return intents

    def perform(self, intents: Sequence[Intent]) -> None:
        """Perform all, each marked before the next; the first failure ends it."""
        began = time.monotonic()
        for intent in intents:
            if time.monotonic() - began > _QUICK and not self._is_wanted(intent):
                continue
            if intent.key not in self._unmarked:
                self._perform_one(intent)
                self._unmarked.add(intent.key)
                failpoint("delivery.after-effect", intent.consumer)
            self._database.run(partial(commits.mark_sent, intent=intent, last=intent is intents[-1]))
            self._unmarked.discard(intent.key)

    def _is_wanted(self, intent: Intent) -> bool:
        """Whether what it is about was not erased while the ones before it were performed."""
        with self._database.reading() as session:
            return not effects.is_erased(session, intent)

    def _perform_one(self, intent: Intent) -> None:
        performer = self._performers.get(intent.kind)
        try:
            if performer is None:
                raise EffectRefused(f"No effect is registered as {intent.kind!r}: is its module imported here?")
            performer(intent)
        except BaseException as error:
            # What was interrupted may have happened all the same.
            unknown = isinstance(error, EffectUnknown) or not isinstance(error, Exception)
            with self._database.transaction() as session:
                effects.mark_failed(session, intent, text_of(error), unknown=unknown)
            raise
