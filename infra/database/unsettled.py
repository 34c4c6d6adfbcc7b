"""What a scan of the log has left behind: events that were not settled, and which of them are lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import bindparam, case, delete, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database.consumer_tables import Waiting
from infra.database.job_leases import at_present, held
from infra.database.recovery_tables import Resend, Unsettled
from infra.database.settling import WHO, Open, Summary, settled, with_inbox
from infra.database.tables import Inbox, UtcDateTime, table

_INBOX, _RESEND, _UNSETTLED, _WAITING = table(Inbox), table(Resend), table(Unsettled), table(Waiting)
#: A moment before all others.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_MINE = _UNSETTLED.c.consumer == WHO
_COUNT = select(func.count()).select_from(_UNSETTLED).where(_MINE)
_WHO_HAS_ANY = select(_UNSETTLED.c.consumer).distinct()
_OPEN = select(
    func.count(), func.min(_UNSETTLED.c.position), func.min(_UNSETTLED.c.published_at, type_=UtcDateTime)
).where(_MINE, ~settled(_UNSETTLED.c.event_id))
_SETTLED = select(_UNSETTLED.c.position).where(_MINE, settled(_UNSETTLED.c.event_id)).order_by(_UNSETTLED.c.position)
_ON_ITS_WAY = exists().where(_RESEND.c.consumer == WHO, _RESEND.c.event_id == _UNSETTLED.c.event_id)
_WAITS = exists().where(_WAITING.c.consumer == WHO, _WAITING.c.event_id == _UNSETTLED.c.event_id)
_FAILED_AT = func.coalesce(_INBOX.c.failed_at, _UNSETTLED.c.published_at)
#: The last that is known of it, before it was sent again if it was.
_LAST = case(
    (_INBOX.c.state.is_(None), _UNSETTLED.c.published_at),
    (_INBOX.c.state == "committed", func.coalesce(_INBOX.c.handled_at, _UNSETTLED.c.published_at)),
    else_=_FAILED_AT,
)
_QUEUED = bindparam("queued", type_=UtcDateTime)
_LOST = with_inbox(_UNSETTLED, _UNSETTLED.c.resent_at).where(
    _MINE,
    case(
        (_UNSETTLED.c.resent_at > _LAST, _UNSETTLED.c.resent_at < _QUEUED),
        (_INBOX.c.state.is_(None), _UNSETTLED.c.published_at < bindparam("published", type_=UtcDateTime)),
        (_INBOX.c.state == "committed", _LAST < _QUEUED),
        (_INBOX.c.state == "dead", bindparam("parked", type_=UtcDateTime) > _FAILED_AT),
        else_=or_(_INBOX.c.retry_at < _QUEUED, bindparam("delayed", type_=UtcDateTime) > _FAILED_AT),
    ),
    ~_ON_ITS_WAY,
    ~_WAITS,
    ~held(_UNSETTLED.c.event_id, WHO),
)
_THESE = _UNSETTLED.c.position.in_(bindparam("positions", expanding=True))
_REMOVE = delete(_UNSETTLED).where(_MINE, _THESE)
_MARK = (
    update(_UNSETTLED)
    .where(
        _MINE,
        _THESE,
        or_(_UNSETTLED.c.resent_at.is_(None), _UNSETTLED.c.resent_at < bindparam("since", type_=UtcDateTime)),
    )
    .values(resent_at=bindparam("now", type_=UtcDateTime))
    .returning(_UNSETTLED.c.position)
)
_ADD = {
    name: dialect.insert(_UNSETTLED).on_conflict_do_nothing()
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


@dataclass(frozen=True, slots=True)
class Before:
    """What came to a place before this time is not there any more, so it is lost if nobody settled it."""

    #: To its consumer's queue, by the first publish.
    published: datetime = NEVER
    #: To its consumer's queue, by whatever way.
    queued: datetime = NEVER
    #: To a retry tier, any of them.
    delayed: datetime = NEVER
    #: To the queue of the dead letters.
    parked: datetime = NEVER


def count(session: Session, consumer: str) -> int:
    """How many rows the scan has left behind for this consumer, settled meanwhile or not."""
    return int(session.connection().execute(_COUNT, {"who": consumer}).scalar_one())


def left_behind(session: Session) -> set[str]:
    """The consumers for whom there is any such row."""
    return set(session.connection().execute(_WHO_HAS_ANY).scalars())


def still_open(session: Session, consumer: str) -> Summary:
    """Those of them that are not settled now."""
    return Summary(*session.connection().execute(_OPEN, {"who": consumer}).one())


def settled_now(session: Session, consumer: str) -> list[int]:
    """Positions of those that are settled now."""
    return list(session.connection().execute(_SETTLED, {"who": consumer}).scalars())


def lost(session: Session, consumer: str, before: Before) -> list[Open]:
    """Those that are in none of the places where they should be, nor on their way already, nor waiting, nor in hand.

    Of one that waits in a tier all that is known is that some tier lost what it had.
    """
    places = {name: getattr(before, name) for name in ("published", "queued", "delayed", "parked")}
    query = {"who": consumer, **places, **at_present()}
    return [Open(*row) for row in session.connection().execute(_LOST, query)]


def add(session: Session, consumer: str, rows: Sequence[Open]) -> None:
    """Record what the scan goes past; what is recorded already stays as it is."""
    values = [
        {"consumer": consumer, "position": row.position, "event_id": row.event_id, "published_at": row.published_at}
        for row in rows
    ]
    connection = session.connection()
    if values:
        connection.execute(_ADD[connection.dialect.name], values)


def remove(session: Session, consumer: str, positions: Sequence[int]) -> None:
    """Forget what is settled, or not for this consumer any more."""
    session.connection().execute(_REMOVE, {"who": consumer, "positions": positions})


def mark_resent(session: Session, consumer: str, positions: Sequence[int], since: datetime) -> set[int]:
    """Write that they are sent again now; gives those that nobody else sent again since then."""
    query = {"who": consumer, "positions": positions, "since": since, "now": datetime.now(UTC)}
    return set(session.connection().execute(_MARK, query).scalars())
