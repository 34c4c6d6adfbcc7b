"""What became of a schedule's last tick: whether it is on the bus, and who has not ended it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, exists, or_, select
from sqlmodel import Session

from infra.database import consumers
from infra.database.recovery_tables import Unsettled
from infra.database.settling import settled
from infra.database.tables import BIG, EventLog, Outbox, ScheduleRun, Subscription, UtcDateTime, table

_RUN, _OUTBOX, _LOG = table(ScheduleRun), table(Outbox), table(EventLog)
_SUBSCRIPTION, _UNSETTLED = table(Subscription), table(Unsettled)
#: Two replicas may decide two due times in either order, so a later one counts too.
_LAST = (
    select(_RUN.c.due_at, _RUN.c.event_id)
    .where(
        _RUN.c.schedule == bindparam("schedule"),
        _RUN.c.due_at != bindparam("due", type_=UtcDateTime),
        _RUN.c.state == "fired",
    )
    .order_by(_RUN.c.due_at.desc())
    .limit(1)
)
#: A row that was set aside is not on its way any more: only an operator can help it.
_WAITS = select(_OUTBOX.c.sequence).where(_OUTBOX.c.event_id == bindparam("event"), _OUTBOX.c.set_aside.is_(False))
_LOGGED = select(_LOG.c.position, _LOG.c.type).where(_LOG.c.event_id == bindparam("event"))
_POSITION = bindparam("position", type_=BIG)
#: Below `scanned` what is open has a row in `unsettled`; all else is settled, even when the inbox has forgotten it.
_OPEN = select(_SUBSCRIPTION).where(
    _SUBSCRIPTION.c.since < _POSITION,
    _SUBSCRIPTION.c.retiring_since.is_(None),
    or_(
        _SUBSCRIPTION.c.scanned < _POSITION,
        exists().where(_UNSETTLED.c.consumer == _SUBSCRIPTION.c.consumer, _UNSETTLED.c.position == _POSITION),
    ),
    ~settled(bindparam("event"), _SUBSCRIPTION.c.consumer),
)


@dataclass(frozen=True, slots=True)
class Tick:
    """The last tick of a schedule that was fired."""

    due_at: datetime
    #: Whether its event waits in the outbox.
    waits: bool
    #: The consumers, by name, that have neither handled its event nor given it up.
    open: Sequence[str]


def last(session: Session, schedule: str, *, but: datetime) -> Tick | None:
    """The newest tick that was fired, but for this due time's own; None if there is none."""
    run = session.connection().execute(_LAST, {"schedule": schedule, "due": but}).one_or_none()
    if run is None:
        return None
    waits = session.connection().execute(_WAITS, {"event": run.event_id}).first() is not None
    return Tick(run.due_at, waits, () if waits else _open(session, run.event_id))


def _open(session: Session, event_id: str) -> Sequence[str]:
    logged = session.connection().execute(_LOGGED, {"event": event_id}).one_or_none()
    if logged is None:  # cleaned away: it was ended long ago
        return ()
    rows = session.connection().execute(_OPEN, {"event": event_id, "position": logged.position})
    found = [Subscription(**row._mapping) for row in rows]  # noqa: SLF001  # public, see SQLAlchemy's Row
    return sorted(row.consumer for row in consumers.takers(found, logged.type))
