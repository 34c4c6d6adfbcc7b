"""Backfills: the part of the log that one consumer is sent, slice by slice, and what of it has not ended there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, insert, or_, select, update
from sqlmodel import Session

from infra.database import event_log, operations, settling, unsettled
from infra.database.consumer_tables import Backfill, Waiting
from infra.database.engine import ADDED_EVENTS
from infra.database.event_log import Logged
from infra.database.letters import CLOSED
from infra.database.recovery_tables import DeadLetter, Operation, Unsettled
from infra.database.settling import WHO, Open, settled
from infra.database.tables import BIG, EventLog, Subscription, table

#: Events that are looked at for one slice, and looks, before it is given back empty: what is settled takes no time.
_AT_ONCE, _LOOKS = 200, 10

_BACKFILL, _OPERATION, _SUBSCRIPTION = table(Backfill), table(Operation), table(Subscription)
_LOG, _UNSETTLED, _WAITING, _LETTER = table(EventLog), table(Unsettled), table(Waiting), table(DeadLetter)
_THIS = _BACKFILL.c.operation_id == bindparam("operation")
_STATE = select(_OPERATION.c.state).where(_OPERATION.c.id == _BACKFILL.c.operation_id).scalar_subquery()
_ADD = insert(_BACKFILL)
_LOCK = select(_SUBSCRIPTION).where(_SUBSCRIPTION.c.consumer == WHO).with_for_update()
_FIND = select(_BACKFILL).where(_THIS)
_REMOVE = delete(_BACKFILL).where(_THIS)
_TO_SEND = (
    select(_BACKFILL, _SUBSCRIPTION.c.types.label("taken"))
    .join(_SUBSCRIPTION, _SUBSCRIPTION.c.consumer == _BACKFILL.c.consumer)
    .where(
        _STATE == "running",
        _SUBSCRIPTION.c.retiring_since.is_(None),
        or_(~_BACKFILL.c.joined, _BACKFILL.c.sent < _BACKFILL.c.until),
    )
    .order_by(_BACKFILL.c.operation_id)
)
_OPEN_OF = select(_BACKFILL.c.operation_id).where(_BACKFILL.c.consumer == WHO, _STATE.in_(operations.OPEN))
_OF_CONSUMER = select(_BACKFILL.c.after, _BACKFILL.c.sent).where(_BACKFILL.c.consumer == WHO)
_CONSUMERS = select(_BACKFILL.c.consumer).where(_BACKFILL.c.sent > _BACKFILL.c.after)
_NEEDED = select(_BACKFILL.c.consumer, _BACKFILL.c.sent).where(
    _STATE.in_(operations.OPEN), or_(~_BACKFILL.c.joined, _BACKFILL.c.sent < _BACKFILL.c.until)
)
_JOIN = update(_BACKFILL).where(_THIS, ~_BACKFILL.c.joined).values(joined=True, until=bindparam("end", type_=BIG))
_MOVE = (
    update(_BACKFILL)
    .where(_THIS, _BACKFILL.c.sent == bindparam("before", type_=BIG))
    .values(sent=bindparam("end", type_=BIG))
)
_SETTLE = update(_BACKFILL).where(_THIS).values(settled=bindparam("upto", type_=BIG))
_ON_ITS_WAY = (
    _UNSETTLED.c.consumer == WHO,
    _UNSETTLED.c.position > bindparam("after", type_=BIG),
    _UNSETTLED.c.position <= bindparam("end", type_=BIG),
    ~settled(_UNSETTLED.c.event_id),
)
_OPEN = select(func.count(), func.min(_UNSETTLED.c.position)).where(*_ON_ITS_WAY)
#: An event that waits for an earlier one of its subject has left the queue.
_IN_FLIGHT = select(func.count()).where(
    *_ON_ITS_WAY, ~exists().where(_WAITING.c.consumer == WHO, _WAITING.c.position == _UNSETTLED.c.position)
)
#: Ids of letters and of operations begin with their time: what was given up since.
_FAILED = (
    select(func.count())
    .select_from(_LETTER.join(_LOG, _LOG.c.event_id == _LETTER.c.event_id))
    .where(
        _LETTER.c.consumer == WHO,
        _LETTER.c.id > bindparam("operation"),
        _LETTER.c.state.not_in(CLOSED),
        _LOG.c.position > bindparam("after", type_=BIG),
        _LOG.c.position <= bindparam("end", type_=BIG),
    )
)


@dataclass(frozen=True, slots=True)
class Sending:
    """A backfill that has something to send, as it was when that was read."""

    operation_id: str
    consumer: str
    #: Event types, or `EVERY_TYPE`.
    types: Sequence[str]
    after: int
    until: int
    sent: int
    #: All up to here was settled when somebody looked last.
    settled: int
    #: Events per second.
    rate: float | None
    joined: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """What comes next of a backfill."""

    #: By position, those alone that the consumer has not settled.
    events: Sequence[Logged]
    #: With these it has come up to here.
    end: int


def lock(session: Session, consumer: str) -> Subscription | None:
    """The record of a consumer, so that nobody else begins a backfill of it until the transaction ends."""
    row = session.connection().execute(_LOCK, {"who": consumer}).one_or_none()
    return None if row is None else Subscription(**row._mapping)  # noqa: SLF001  # public, see SQLAlchemy's Row


def add(session: Session, row: Backfill) -> None:
    """Write down a new one, beside its operation; the relay is woken by the commit."""
    session.connection().execute(_ADD, row.model_dump())
    wake(session)


def wake(session: Session) -> None:
    """Have the relay look at once when this is committed."""
    session.info[ADDED_EVENTS] = True


def find(session: Session, operation_id: str) -> Backfill | None:
    """The one of an operation; None when it is through."""
    row = session.connection().execute(_FIND, {"operation": operation_id}).one_or_none()
    return None if row is None else Backfill(**row._mapping)  # noqa: SLF001  # public, see SQLAlchemy's Row


def remove(session: Session, operation_id: str) -> None:
    """Forget the one of an operation, which can then not be resumed."""
    session.connection().execute(_REMOVE, {"operation": operation_id})


def open_of(session: Session, consumer: str) -> str | None:
    """The operation that sends this consumer its past at present."""
    return session.connection().execute(_OPEN_OF, {"who": consumer}).scalar()


def to_send(session: Session) -> list[Sending]:
    """All that run and have something to send, the oldest first."""
    return [_sending(row) for row in session.connection().execute(_TO_SEND)]


def next_slice(session: Session, one: Sending, most: int) -> Slice:
    """So many events that come next and are not settled; fewer, or none, where much is."""
    end, found = one.sent, list[Open]()
    for _ in range(_LOOKS):
        if found or end >= one.until:
            break
        after, end = end, settling.slice_end(session, one.types, end, one.until, _AT_ONCE)
        found = settling.between(session, one.consumer, one.types, after, end)
    if len(found) > most:
        found = found[:most]
        end = found[-1].position
    return Slice(event_log.at(session, [each.position for each in found]) if found else [], end)


def join(session: Session, one: Sending) -> None:
    """Let it end where the log ends now: what comes later reaches its consumer's queue by the binding."""
    operations.find(session, one.operation_id, lock=True)  # first, as the duty does: else they would wait in a circle
    last = max(one.until, event_log.last_position(session))
    if session.connection().execute(_JOIN, {"operation": one.operation_id, "end": last}).rowcount:
        more = settling.summary_between(session, one.consumer, one.types, one.until, last).count
        operations.extend(session, one.operation_id, total=more)


def move(session: Session, one: Sending, end: int, sent: Sequence[Logged], at: datetime) -> bool:
    """Write that all up to here was sent, these at that time; False when somebody else has moved it meanwhile.

    What was sent is the sweep's from then on, like all that came into a queue: it finds what is lost.
    """
    operations.find(session, one.operation_id, lock=True)  # first, as the duty does: else they would wait in a circle
    values = {"operation": one.operation_id, "before": one.sent, "end": end}
    if not session.connection().execute(_MOVE, values).rowcount:
        return False
    unsettled.add(session, one.consumer, [Open(each.position, each.event_id, at, *[None] * 4) for each in sent])
    if sent:
        operations.extend(session, one.operation_id, sent=len(sent))
    return True


def settle(session: Session, operation_id: str, upto: int) -> None:
    """Write up to where all is settled."""
    session.connection().execute(_SETTLE, {"operation": operation_id, "upto": upto})


def in_flight(session: Session, one: Sending) -> int:
    """Events that were sent and are in the queue, at work, or in a retry tier."""
    return int(session.connection().execute(_IN_FLIGHT, _range(one.consumer, one.settled, one.sent)).scalar_one())


def not_ended(session: Session, row: Backfill) -> tuple[int, int | None]:
    """How many were sent and have not ended, and the position of the first."""
    count, first = session.connection().execute(_OPEN, _range(row.consumer, row.settled, row.sent)).one()
    return int(count), first


def failed(session: Session, row: Backfill) -> int:
    """How many of those that were sent wait in the dead letters."""
    values = {**_range(row.consumer, row.after, row.sent), "operation": row.operation_id}
    return int(session.connection().execute(_FAILED, values).scalar_one())


def consumers_of(session: Session) -> set[str]:
    """Consumers to which something of the past was sent and may not have ended."""
    return set(session.connection().execute(_CONSUMERS).scalars())


def past_positions(session: Session, consumer: str, positions: Sequence[int]) -> set[int]:
    """Those of these positions that backfills of this consumer, which have not ended, have sent."""
    ranges = session.connection().execute(_OF_CONSUMER, {"who": consumer}).all()
    return {each for each in positions if any(row.after < each <= row.sent for row in ranges)}


def needed(session: Session) -> dict[str, int]:
    """After which position each consumer's open backfill still needs the log."""
    found: dict[str, int] = {}
    for row in session.connection().execute(_NEEDED):
        found[row.consumer] = min(row.sent, found.get(row.consumer, row.sent))
    return found


def _sending(row: Any) -> Sending:
    types = row.types or row.taken
    places = (row.after, row.until, row.sent, row.settled)
    return Sending(row.operation_id, row.consumer, types, *places, row.rate, joined=row.joined)


def _range(consumer: str, after: int, end: int) -> dict[str, Any]:
    return {"who": consumer, "after": after, "end": end}
