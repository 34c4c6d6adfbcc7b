"""The event log: every event that the broker has confirmed, at positions without a gap."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, insert, select
from sqlmodel import Session

from infra.database import leases, outbox
from infra.database.leases import Holding
from infra.database.outbox import Due
from infra.database.tables import BIG, EventLog, Outbox, UtcDateTime, table
from infra.errors import LeaseLost

_LOG, _OUTBOX = table(EventLog), table(Outbox)
#: The rows move inside the database, numbered in the order in which the outbox gives them out.
_MOVE = (
    insert(_LOG)
    .from_select(
        ["position", "event_id", "type", "subject", "body", "published_at"],
        select(
            bindparam("before", type_=BIG) + func.row_number().over(order_by=outbox.ORDER),
            _OUTBOX.c.event_id,
            _OUTBOX.c.type,
            _OUTBOX.c.subject,
            _OUTBOX.c.body,
            bindparam("now", type_=UtcDateTime),
        ).where(_OUTBOX.c.sequence.in_(bindparam("rows", expanding=True))),
    )
    .execution_options(preserve_rowcount=True)
)
_FIND = select(_LOG).where(_LOG.c.event_id == bindparam("event"))
_AT = (
    select(_LOG.c.position, _LOG.c.event_id, _LOG.c.type, _LOG.c.body)
    .where(_LOG.c.position.in_(bindparam("positions", expanding=True)), _LOG.c.erased_at.is_(None))
    .order_by(_LOG.c.position)
)
_LAST = select(func.coalesce(func.max(_LOG.c.position), 0))
#: A lease that is new, because somebody deleted its row, counts on where the log ends.
_RAISE = leases.raising(_LAST.scalar_subquery())
_FIRST = select(func.coalesce(func.min(_LOG.c.position), 0))
_FROM = (
    select(_LOG.c.position, _LOG.c.published_at)
    .where(_LOG.c.position >= bindparam("middle", type_=BIG))
    .order_by(_LOG.c.position)
    .limit(1)
)
_TYPES = (
    select(_LOG.c.type)
    .where(_LOG.c.position > bindparam("after", type_=BIG), _LOG.c.position <= bindparam("end", type_=BIG))
    .distinct()
)
_LOGGED = select(_LOG.c.event_id).where(_LOG.c.event_id.in_(bindparam("events", expanding=True)))


#: Lists look so much further than their bounds, and then at each time: a clock that is stepped by an hour, as happens,
#: leaves the log out of order for that long.
_STEPPED = timedelta(hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events of the log; what is None does not matter."""

    type: str | None = None
    subject: str | None = None
    #: Published at this moment or later …
    since: datetime | None = None
    #: … and before this one.
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Logged:
    """An event as it was published."""

    position: int
    event_id: str
    type: str
    body: str = field(repr=False)


def publish(session: Session, rows: Sequence[Due], *, lease: Holding) -> int:
    """Move confirmed outbox rows to the log, in their order; gives the last position.

    Positions come from the relay's lease, so they have no gap, and a relay that lost its lease writes nothing.

    Raises:
        LeaseLost: another relay is active; what this one published will be published again and dropped by the inbox.
    """
    if not rows:
        return last_position(session)
    last = leases.raise_counter(session, lease, len(rows), _RAISE)
    sequences = [row.sequence for row in rows]
    moved = {"before": last - len(rows), "now": datetime.now(UTC), "rows": sequences}
    if session.connection().execute(_MOVE, moved).rowcount != len(rows):
        raise LeaseLost("The outbox was changed while its events were published.")
    outbox.remove(session, sequences)
    return last


def without_logged(session: Session, rows: Sequence[Due]) -> list[Due]:
    """Take out of the outbox what is in the log already, for then it was published; gives the other rows."""
    ids = [row.event_id for row in rows]
    logged = set(session.connection().execute(_LOGGED, {"events": ids}).scalars())
    outbox.remove(session, [row.sequence for row in rows if row.event_id in logged])
    return [row for row in rows if row.event_id not in logged]


def find(session: Session, event_id: str) -> EventLog | None:
    """The log's row of an event."""
    row = session.connection().execute(_FIND, {"event": event_id}).one_or_none()
    return None if row is None else EventLog(**row._mapping)  # noqa: SLF001  # public, see SQLAlchemy's Row


def at(session: Session, positions: Collection[int]) -> list[Logged]:
    """The events at these positions, in order; of those that were erased nothing is left to give."""
    return [Logged(*row) for row in session.connection().execute(_AT, {"positions": list(positions)})]


def page(session: Session, wanted: Filter, *, before: int | None, limit: int) -> Sequence[Any]:
    """Rows of the log, the last published first, from before this position on."""
    query = select(_LOG).where(*_bounds(session, wanted))
    equal = {"type": wanted.type, "subject": wanted.subject}
    query = query.where(*(_LOG.c[name] == value for name, value in equal.items() if value is not None))
    if before is not None:
        query = query.where(_LOG.c.position < before)
    rows: Sequence[Any] = session.connection().execute(query.order_by(_LOG.c.position.desc()).limit(limit)).all()
    return rows


def types_between(session: Session, after: int, end: int) -> set[str]:
    """The types of the events after a position and up to another."""
    return set(session.connection().execute(_TYPES, {"after": after, "end": end}).scalars())


def last_position(session: Session) -> int:
    """Position of the newest event, 0 while there is none."""
    return int(session.connection().execute(_LAST).scalar_one())


def position_at(session: Session, moment: datetime) -> int:
    """The last position that was published before this moment, 0 for none: a binary search, without an index.

    Where the clock of a relay was stepped back, one moment stands at several places, and this is one of them.
    """
    connection = session.connection()
    low, high = int(connection.execute(_FIRST).scalar_one()) - 1, last_position(session)
    while low < high:  # what is up to `low` was published before, what comes after `high` was not
        middle = (low + high + 1) // 2
        row = connection.execute(_FROM, {"middle": middle}).one_or_none()
        if row is not None and row.position <= high and row.published_at < moment:
            low = row.position
        else:
            high = middle - 1
    return max(low, 0)


def _bounds(session: Session, wanted: Filter) -> list[ColumnElement[bool]]:
    """Its times, and between which positions they are to be found: no index is on the times."""
    bounds = []
    if wanted.since is not None:
        first = position_at(session, _shifted(wanted.since, -_STEPPED))
        bounds += [_LOG.c.published_at >= wanted.since, _LOG.c.position > first]
    if wanted.until is not None:
        last = position_at(session, _shifted(wanted.until, _STEPPED))
        bounds += [_LOG.c.published_at < wanted.until, _LOG.c.position <= last]
    return bounds


def _shifted(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return moment
