"""The event log: every event that the broker has confirmed, at positions without a gap."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import bindparam, func, insert, select
from sqlmodel import Session

from infra.database import leases, outbox
from infra.database.leases import Holding
from infra.database.outbox import Due
from infra.database.tables import EventLog, table

_LOG = table(EventLog)
_APPEND = insert(_LOG)
_FIND = select(_LOG).where(_LOG.c.event_id == bindparam("event"))
_LAST = select(func.coalesce(func.max(_LOG.c.position), 0))


def publish(session: Session, rows: Sequence[Due], *, lease: Holding) -> int:
    """Move confirmed outbox rows to the log, in their order; gives the last position.

    Positions come from the relay's lease, so they have no gap, and a relay that lost its lease writes nothing.

    Raises:
        LeaseLost: another relay is active; what this one published will be published again and dropped by the inbox.
    """
    if not rows:
        return last_position(session)
    last = leases.raise_counter(session, lease, len(rows))
    now = datetime.now(UTC)
    first = last - len(rows) + 1
    session.connection().execute(
        _APPEND,
        [
            {
                "position": position,
                "event_id": row.event_id,
                "type": row.type,
                "subject": row.subject,
                "body": row.body,
                "published_at": now,
            }
            for position, row in enumerate(rows, first)
        ],
    )
    outbox.remove(session, [row.sequence for row in rows])
    return last


def find(session: Session, event_id: str) -> EventLog | None:
    """The log's row of an event."""
    row = session.connection().execute(_FIND, {"event": event_id}).one_or_none()
    return None if row is None else EventLog(**row._mapping)  # noqa: SLF001  # public, see SQLAlchemy's Row


def last_position(session: Session) -> int:
    """Position of the newest event, 0 while there is none."""
    return int(session.connection().execute(_LAST).scalar_one())
