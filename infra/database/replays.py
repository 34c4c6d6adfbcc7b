"""Replays: given-up messages on their way to their consumer again, and what becomes of those that never come back."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, exists, or_, select, update
from sqlmodel import Session

from events import causes
from infra.database import dead_letters, effects, inbox, resends
from infra.database.consumer_tables import Waiting
from infra.database.job_leases import at_present, held
from infra.database.letters import ALREADY_HANDLED, HAS_CONSUMER, IS_OF_EVENT
from infra.database.recovery_tables import DeadLetter, Emptied, Resend
from infra.database.resends import Addressed
from infra.database.tables import Inbox, Subscription, UtcDateTime, table

_LETTER, _RESEND, _EMPTIED = table(DeadLetter), table(Resend), table(Emptied)
_INBOX, _SUBSCRIPTION, _WAITING = table(Inbox), table(Subscription), table(Waiting)
_THESE = _LETTER.c.id.in_(bindparam("letters", expanding=True))
#: Letters that one statement names: their bodies pass through the memory of this process.
_AT_ONCE = 100
#: How long a replay may take before it counts as lost: longer than all the tiers of the retries together …
LONGEST = timedelta(hours=2)
#: … and how long, when a queue that it may have waited in was found missing since it began.
AFTER_A_LOSS = timedelta(minutes=1)

_WAS_HANDLED = exists().where(
    _INBOX.c.event_id == _LETTER.c.event_id, _INBOX.c.consumer == _LETTER.c.consumer, _INBOX.c.handled_at.is_not(None)
)
_BEGIN_ALL = (
    update(_LETTER)
    .where(_THESE, _LETTER.c.state.in_(("waiting", "queued")), HAS_CONSUMER)
    .values(state="replaying", replays=_LETTER.c.replays + 1, replayed_at=bindparam("now", type_=UtcDateTime))
    .returning(
        _LETTER.c.id,
        _LETTER.c.consumer,
        _LETTER.c.event_id,
        _LETTER.c.type,
        _LETTER.c.body,
        IS_OF_EVENT.label("is_of_event"),
        _WAS_HANDLED.label("was_handled"),
    )
)
_BEGIN = _BEGIN_ALL.where(or_(_LETTER.c.event_id.is_(None), ~ALREADY_HANDLED))
_REFUSE = (
    update(_LETTER)
    .where(_LETTER.c.id == bindparam("letter"), _LETTER.c.state == "replaying")
    .values(state="waiting", error=bindparam("text"))
)
_IS_PUT_BY = exists().where(_WAITING.c.consumer == _LETTER.c.consumer, _WAITING.c.event_id == _LETTER.c.event_id)
_NOT_WAITING = and_(~exists().where(_RESEND.c.dead_letter_id == _LETTER.c.id), ~_IS_PUT_BY)
_NO_RETRY = ~exists().where(
    _INBOX.c.event_id == _LETTER.c.event_id,
    _INBOX.c.consumer == _LETTER.c.consumer,
    _INBOX.c.state == "retrying",
    _INBOX.c.retry_at > bindparam("recently", type_=UtcDateTime),
)
#: It may have been in its consumer's queue, in a tier, or among the dead letters.
_QUEUE_WAS_LOST = exists().where(
    or_(_EMPTIED.c.queue == _LETTER.c.consumer, _EMPTIED.c.queue.not_in(select(_SUBSCRIPTION.c.consumer))),
    _EMPTIED.c.at > _LETTER.c.replayed_at,
)
_LONG_ON_ITS_WAY = (
    update(_LETTER)
    .where(_LETTER.c.state == "replaying", _LETTER.c.replayed_at < bindparam("recently", type_=UtcDateTime))
    .where(_NOT_WAITING, ~held(_LETTER.c.event_id, _LETTER.c.consumer))
)
_CLOSE_HANDLED = _LONG_ON_ITS_WAY.where(ALREADY_HANDLED).values(
    state="handled", closed_at=bindparam("now", type_=UtcDateTime), closed_with="handled by another delivery"
)
_BRING_BACK = (
    _LONG_ON_ITS_WAY.where(_NO_RETRY)
    .where(or_(_LETTER.c.replayed_at < bindparam("long_ago", type_=UtcDateTime), _QUEUE_WAS_LOST))
    .values(state="waiting")
    .returning(_LETTER.c.id)
)


def begin(session: Session, letter_ids: Sequence[str], *, force: bool = False) -> int:
    """Have these waiting or queued letters delivered again, each to its own consumer; gives how many were begun.

    Those whose consumer is through with the event by another way are closed instead; with force they are begun too,
    and effects that happened may happen again. With force, too, an event is sent without its causes, so what was held
    to be part of a loop is handled. Those whose consumer is gone stay as they are.
    """
    return sum(_begin(session, ids, force) for ids in _in_portions(list(letter_ids)))


def refuse(session: Session, letter_id: str, reason: str) -> None:
    """A replay cannot be sent at all: its letter waits again, with the reason."""
    session.connection().execute(_REFUSE, {"letter": letter_id, "text": reason})
    dead_letters.tell_inbox(session, [letter_id])


def bring_back(session: Session, now: datetime) -> list[str]:
    """Let letters wait again whose replay was lost with its queue, or never ended; gives their ids.

    If the replay comes to its end all the same it closes its letter, or the letter waits with a newer failure; at an
    ordered consumer it is passed over, and the letter waits on.
    """
    query = {"now": now, "recently": now - AFTER_A_LOSS, "long_ago": now - LONGEST, **at_present()}
    session.connection().execute(_CLOSE_HANDLED, query)
    lost = list(session.connection().execute(_BRING_BACK, query).scalars())
    for ids in _in_portions(lost):
        dead_letters.tell_inbox(session, ids)
    return lost


def _begin(session: Session, letter_ids: list[str], force: bool) -> int:
    if not force:
        dead_letters.close_already_handled(session, letter_ids)
    query = {"letters": letter_ids, "now": datetime.now(UTC)}
    begun = session.connection().execute(_BEGIN_ALL if force else _BEGIN, query).all()
    keys = [(row.event_id, row.consumer) for row in begun if row.is_of_event]
    inbox.reopen(session, keys, force=force)
    if force:
        # Of what was not handled there are none, but for those of a job's checkpoints, where it goes on.
        effects.forget(session, [(row.event_id, row.consumer) for row in begun if row.is_of_event and row.was_handled])
    resends.add(session, [_addressed(row, force) for row in sorted(begun, key=lambda row: row.id)])
    return len(begun)


def _addressed(row: Any, force: bool) -> Addressed:
    """The same bytes; the id that stands in a body which is no event is not one to tell messages apart by."""
    event_id = row.event_id if row.is_of_event else None
    return Addressed(row.consumer, causes.without(row.body) if force else row.body, event_id, row.type, row.id)


def _in_portions(letter_ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(letter_ids), _AT_ONCE):
        yield letter_ids[start : start + _AT_ONCE]
