"""Ordered consumers: an event is handled when those of its subject before it have ended there; until then it waits.

The database decides, in whatever order the broker delivers and however many processes there are. Whose turn has not
come gets a row in `waiting`, and its message is acknowledged; what ends lets the next one go, before its own message is
acknowledged. Both write first and look then, so one of the two sees the other. A process that dies in between leaves
work for the duty that looks after those who wait.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

from infra.commits import GivenUp
from infra.database import inbox, releases, turns, waiting
from infra.database.engine import Database
from infra.database.inbox import Delivery
from infra.database.turns import Place
from infra.errors import Busy, DatabaseUnavailable
from infra.faults import failpoint
from infra.outcomes import Done, Hold, Outcome, Park, PassedOver

#: Seconds between the looks for an event that the relay has published and not logged yet, which it does in a moment.
_UNTIL_LOGGED = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
#: Seconds between the looks at one that is at work elsewhere this very moment: cheaper than a way through the broker.
_UNTIL_ENDED = (0.002, 0.004, 0.008, 0.016, 0.02)
#: Subjects that a process knows something of.
_MOST_FLOORS = 50_000


class Ordering:
    """Keeps the order for one process; what it remembers saves looking, and nothing depends on it."""

    def __init__(self, database: Database, *, pause: Callable[[float], object] = time.sleep) -> None:
        self._database = database
        self._pause = pause
        #: Consumer and subject -> position up to which all had ended.
        self._floors: dict[tuple[str, str], int] = {}

    def in_turn(self, delivery: Delivery, types: Sequence[str], deliver: Callable[[], Outcome]) -> Outcome:
        """Deliver an event if its turn has come; what has ended by that lets the next one go."""
        try:
            place = self._find(delivery)
            if place is None or place.subject is None:
                return deliver()
            if (early := self._too_early(delivery, types, place)) is not None:
                return early
        except (DatabaseUnavailable, Busy) as error:
            return Hold(str(error))
        outcome = deliver()
        if isinstance(outcome, Done):
            self._remember(delivery.consumer, place.subject, place.position)
        if isinstance(outcome, Done | Park | PassedOver):
            self._let_go(delivery.consumer, types, place.subject)
        return outcome

    def require_open(self, delivery: Delivery) -> None:
        """Refuse an event that somebody has given up meanwhile.

        Raises:
            GivenUp: it is dead.
        """
        with self._database.reading() as session:
            entry = inbox.look(session, delivery.event_id, delivery.consumer)
        if entry is not None and entry.state == "dead":
            raise GivenUp

    def _find(self, delivery: Delivery) -> Place | None:
        """Its place; None for one that never went through the outbox.

        Raises:
            Busy: the relay has not written yet that it is published.
        """
        for pause in (*_UNTIL_LOGGED, None):
            with self._database.reading() as session:
                place = turns.place(session, delivery.event_id, delivery.consumer)
                if place is None and not turns.is_announced(session, delivery.event_id):
                    return turns.place(session, delivery.event_id, delivery.consumer)  # it was moved just now
            if place is not None:
                return place
            if pause is not None:
                self._pause(pause)
        raise Busy("The event is not in the log yet, so its place is not known.")

    def _too_early(self, delivery: Delivery, types: Sequence[str], place: Place) -> Outcome | None:
        """What becomes of an event that is not to be handled now; None for one whose turn has come."""
        if place.state in inbox.SETTLED:
            return None
        if place.has_ended:
            return self._given_up(delivery, types, place)
        if (
            place.has_begun
            or self._has_come(delivery, types, place)
            or self._has_come_after_all(delivery, types, place)
        ):
            return None
        return PassedOver()

    def _given_up(self, delivery: Delivery, types: Sequence[str], place: Place) -> Outcome:
        """A late copy: the next one of its subject may be at work, so only a replay may handle it."""
        if place.subject is not None:
            self._let_go(delivery.consumer, types, place.subject)
        if place.is_kept:
            return PassedOver()
        return Park("handler-error", place.error or "It was given up.", attempt=place.attempts or 1)

    def _has_come(self, delivery: Delivery, types: Sequence[str], place: Place) -> bool:
        for pause in (*_UNTIL_ENDED, None):
            blocker = self._blocker(delivery.consumer, types, place)
            if blocker is None:
                return True
            if pause is None or not self._is_at_work(delivery.consumer, place, blocker):
                return False
            self._pause(pause)
        return False

    def _has_come_after_all(self, delivery: Delivery, types: Sequence[str], place: Place) -> bool:
        """Have it wait, and look once more: who ended in between did not see it wait."""
        who, subject = delivery.consumer, place.subject
        assert subject is not None
        one = waiting.One(place.position, delivery.event_id, delivery.backfilled)
        self._database.run(partial(waiting.add, consumer=who, subject=subject, one=one))
        failpoint("ordering.after-waiting", who)
        if self._blocker(who, types, place) is not None:
            return False
        # If it is not there any more somebody has let it go, and it comes again.
        return bool(self._database.run(partial(waiting.take, consumer=who, positions=[place.position])))

    def _blocker(self, consumer: str, types: Sequence[str], place: Place) -> int | None:
        """Position of the first event of the subject that is open."""
        assert place.subject is not None
        floor = self._floors.get((consumer, place.subject), 0)
        if place.is_first_after(floor):
            return None
        with self._database.reading() as session:
            found = turns.first_open(session, consumer, types, place, floor=floor)
        if found is None and not place.is_stirred:
            self._remember(consumer, place.subject, place.position - 1)
        return found

    def _is_at_work(self, consumer: str, place: Place, blocker: int) -> bool:
        """Whether the open one may end in a moment: nothing else waits for it, and it has not failed."""
        assert place.subject is not None
        with self._database.reading() as session:
            if waiting.next_of(session, consumer, place.subject, 1):
                return False
            one = turns.place_at(session, blocker, consumer)
        return one is None or one.state in {None, "committed"}

    def _remember(self, consumer: str, subject: str, position: int) -> None:
        if len(self._floors) >= _MOST_FLOORS:
            self._floors.clear()
        key = (consumer, subject)
        self._floors[key] = max(position, self._floors.get(key, 0))

    def _let_go(self, consumer: str, types: Sequence[str], subject: str) -> None:
        """Send what waits for what has just ended; if that cannot be, the duty does it."""
        failpoint("ordering.before-wake", consumer)
        try:
            with self._database.reading() as session:
                if not waiting.next_of(session, consumer, subject, 1):
                    return
            self._database.run(partial(releases.release, consumer=consumer, subject=subject, types=types))
        except DatabaseUnavailable:
            return
