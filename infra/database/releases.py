"""Letting go: what waited for its turn is sent to its consumer again, once nothing before it is open."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import bindparam, select
from sqlmodel import Session

from events import causes
from infra.database import event_log, resends, turns, unsettled, waiting
from infra.database.recovery_tables import DeadLetter
from infra.database.resends import Addressed
from infra.database.tables import Subscription, table
from infra.subscriptions import EVERY_TYPE

_LETTER, _SUBSCRIPTION = table(DeadLetter), table(Subscription)
#: Events of one subject that are let go together: the first of them may be handled now, and the others come right after
#: it. One that comes too early waits again.
RUN = 50
_TYPES = select(_SUBSCRIPTION.c.types).where(_SUBSCRIPTION.c.consumer == bindparam("who"))
_REPLAYED = select(_LETTER.c.event_id, _LETTER.c.id).where(
    _LETTER.c.key.in_(bindparam("keys", expanding=True)), _LETTER.c.state == "replaying"
)


def types_of(session: Session, consumer: str) -> Sequence[str]:
    """What a recorded consumer takes; all, if nobody knows."""
    types: list[str] | None = session.connection().execute(_TYPES, {"who": consumer}).scalar()
    return types or [EVERY_TYPE]


def is_free(session: Session, consumer: str, types: Sequence[str], position: int) -> bool:
    """Whether nothing is open before the event at this position, which is then the next to be handled, or has ended."""
    one = turns.place_at(session, position, consumer)
    return one is None or one.has_ended or turns.first_open(session, consumer, types, one) is None


def release(session: Session, consumer: str, subject: str, types: Sequence[str] | None = None) -> int:
    """Send what waits of a subject, if its turn has come; gives how many.

    Two that come here at once do no harm: what waits is taken out by one of them only.
    """
    found = waiting.next_of(session, consumer, subject, RUN)
    types = types or (types_of(session, consumer) if found else ())
    if not found or not is_free(session, consumer, types, found[0].position):
        return 0
    taken = waiting.take(session, consumer, [one.position for one in found])
    open_ = [one for one in found if one.position in taken and not _has_ended(session, consumer, one.position)]
    return _send(session, consumer, open_)


def _has_ended(session: Session, consumer: str, position: int) -> bool:
    one = turns.place_at(session, position, consumer)
    return one is None or one.has_ended


def _send(session: Session, consumer: str, found: Sequence[waiting.One]) -> int:
    if not found:
        return 0
    positions, sent_as_past = [one.position for one in found], {one.position for one in found if one.backfilled}
    keys = [f"{consumer}/{one.event_id}" for one in found]
    replayed = {row.event_id: row.id for row in session.connection().execute(_REPLAYED, {"keys": keys})}
    messages = [
        Addressed(
            consumer,
            causes.let_through(one.body.encode()) if one.event_id in replayed else one.body.encode(),
            one.event_id,
            one.type,
            dead_letter_id=replayed.get(one.event_id),
            backfilled=one.position in sent_as_past,
        )
        for one in event_log.at(session, positions)
    ]
    # For the sweep it comes into the queue now, and not when it was published.
    unsettled.mark_resent(session, consumer, positions, datetime.now(UTC))
    return resends.add(session, messages)
