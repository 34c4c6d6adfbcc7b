"""One pass of the sweep over one consumer: look through the log, find what is lost, and have it sent again.

The log is gone through once, in slices. What a consumer has not settled by the time that the scan goes past it leaves a
row behind, and from then on only these rows are looked at, until they are settled.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from sqlmodel import Session

from infra.database import backfills, emptied, event_log, positions, resends, settling, unsettled
from infra.database.consumers import takers
from infra.database.engine import Database
from infra.database.resends import Addressed
from infra.database.settling import Open
from infra.database.tables import Subscription
from infra.database.unsettled import NEVER
from infra.rabbitmq.topology import DEAD_LETTERS
from infra.recovery.losses import Losses, horizon
from infra.recovery.queues import Queues

#: Events of the log in one slice, slices in one pass, and seconds after which a pass begins no further one.
SLICE, SLICES, LONGEST_SCAN = 1_000, 10, 2.0
#: Rows that the scan may leave behind for one consumer; it waits until some of them are settled.
MOST_UNSETTLED = 10_000
#: Messages that may wait to be sent again, for all consumers together; lost ones beyond that wait for their turn.
MOST_WAITING = 1_000
#: Events that are sent again, or rows that are removed, in one transaction.
_AT_ONCE = 200

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Swept:
    """What a pass over one consumer has found."""

    consumer: str
    #: Events that neither were settled nor can be anywhere on their way.
    lost: int = 0
    #: Those of them that are sent again now.
    sent: int = 0
    #: There is more to do at once.
    more: bool = False


class Sweeping:
    """Knows for how long an event may be on its way."""

    def __init__(
        self,
        database: Database,
        queues: Queues,
        *,
        grace: timedelta,
        patience: Callable[[str], timedelta],
    ) -> None:
        """Remember; `patience` tells how long ago a consumer's queue must have been empty to prove anything."""
        self._database = database
        self._queues = queues
        self._grace = grace
        self._patience = patience

    def sweep(self, row: Subscription, *, dry_run: bool = False) -> Swept:
        """One pass; a dry run finds what is lost and sends nothing."""
        began = datetime.now(UTC)
        with self._database.reading() as session:
            last, made = event_log.last_position(session), emptied.times(session)
            goes_on = self._scan(session, row, last, horizon(made, row.consumer, began, self._grace))
            self._tidy(session, row.consumer)
            room = MOST_WAITING - resends.count(session)
            if room < _AT_ONCE and not dry_run:
                return Swept(row.consumer, more=True)
            lost = self._lost(session, row.consumer, self._losses(session, row, last, made))
        sent = 0 if dry_run else self._send(row, lost[:room], began)
        return Swept(row.consumer, len(lost), sent, goes_on or len(lost) > room)

    def _losses(self, session: Session, row: Subscription, last: int, made: Mapping[str, datetime]) -> Losses:
        empty = self._queues.empty_until(row.consumer, patience=self._patience(row.consumer))
        parked = self._queues.empty_until(DEAD_LETTERS, patience=self._grace)
        through = max(empty or NEVER, self._overtaken(session, row, last))
        return Losses(row.consumer, made, through, parked or NEVER)

    def _overtaken(self, session: Session, row: Subscription, last: int) -> datetime:
        oldest = unsettled.still_open(session, row.consumer)
        if oldest.position is None:
            return NEVER
        at = settling.came_through(session, row.consumer, row.types, oldest.position, last)
        return NEVER if at is None else at - self._grace

    def _scan(self, session: Session, row: Subscription, last: int, horizon: datetime) -> bool:
        """Go on through the log, up to what is too new; whether there is more of it."""
        scanned, room = row.scanned, MOST_UNSETTLED - unsettled.count(session, row.consumer)
        until = time.monotonic() + LONGEST_SCAN
        for _ in range(SLICES):
            if room <= 0 or scanned >= last:
                return False
            if time.monotonic() > until:
                return True
            end = settling.slice_end(session, row.types, scanned, last, SLICE)
            found = settling.between(session, row.consumer, row.types, scanned, end)
            too_new = next((each.position for each in found if each.published_at > horizon), end + 1)
            left = [each for each in found if each.position < too_new]
            if too_new - 1 > scanned:
                self._database.run(
                    partial(positions.advance, consumer=row.consumer, before=scanned, end=too_new - 1, left=left)
                )
            if too_new <= end:
                return False
            scanned, room = end, room - len(left)
        return scanned < last

    def _tidy(self, session: Session, consumer: str) -> None:
        settled = unsettled.settled_now(session, consumer)
        for portion in _portions(settled):
            self._database.run(partial(unsettled.remove, consumer=consumer, positions=portion))

    def _lost(self, session: Session, consumer: str, losses: Losses) -> list[Open]:
        return [each for each in unsettled.lost(session, consumer, losses.before) if losses.has(each)]

    def _send(self, row: Subscription, lost: Sequence[Open], began: datetime) -> int:
        sent = 0
        for portion in _portions([each.position for each in lost]):
            sent += self._database.run(partial(_resend, row=row, places=portion, began=began))
        if sent:
            _log.warning("lost events are sent again", consumer=row.consumer, events=sent)
        return sent


def _resend(session: Session, row: Subscription, places: Sequence[int], began: datetime) -> int:
    marked = unsettled.mark_resent(session, row.consumer, places, began)
    logged = [one for one in event_log.at(session, marked) if takers([row], one.type)]
    # What is not in the log any more, or not for this consumer since its types were changed, can never be settled.
    unsettled.remove(session, row.consumer, sorted(marked - {one.position for one in logged}))
    past = backfills.past_positions(session, row.consumer, sorted(marked))
    added = resends.add(
        session,
        [
            Addressed(row.consumer, one.body.encode(), one.event_id, one.type, backfilled=one.position in past)
            for one in logged
        ],
    )
    positions.count_resent(session, row.consumer, added)
    return added


def _portions(found: Sequence[int]) -> list[Sequence[int]]:
    return [found[start : start + _AT_ONCE] for start in range(0, len(found), _AT_ONCE)]
