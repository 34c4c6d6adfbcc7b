"""When each schedule gave its last sign of life, and which of them are silent."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, func, or_, select, update
from sqlmodel import Session

from infra.database.schedule_tables import Schedule
from infra.database.tables import ScheduleRun, UtcDateTime, table

_SCHEDULE, _RUN = table(Schedule), table(ScheduleRun)
#: Rows of one schedule that are looked at: if none of so many was fired, none was in the last two periods.
_MOST = 50
_ACTIVE = and_(_SCHEDULE.c.paused_at.is_(None), _SCHEDULE.c.retired_at.is_(None))
_NEWEST = (
    select(_RUN.c.due_at, _RUN.c.state, _RUN.c.kind)
    .where(_RUN.c.schedule == _SCHEDULE.c.name, _RUN.c.kind.in_(("due", "missed")))
    .order_by(_RUN.c.due_at.desc())
    .limit(_MOST)
    .correlate(_SCHEDULE)
    .subquery()
)
#: What a gap's policy or that for overlaps left out was taken care of; a due time that could not be announced was not.
_TAKEN = or_(_NEWEST.c.state == "fired", _NEWEST.c.kind == "missed", _SCHEDULE.c.overlap == "skip")
_LAST = select(func.max(_NEWEST.c.due_at, type_=UtcDateTime)).where(_TAKEN).correlate(_SCHEDULE).scalar_subquery()
_COLUMNS = ("name", "version", "trigger", "counts_from", "silent_since")
_LOOK = select(
    *(_SCHEDULE.c[name] for name in _COLUMNS),
    _ACTIVE.label("active"),
    _LAST.label("decided"),
).where(or_(_ACTIVE, _SCHEDULE.c.silent_since.is_not(None)))
_THIS = _SCHEDULE.c.name == bindparam("schedule")
_BEGIN = (
    update(_SCHEDULE)
    .where(_THIS, _ACTIVE, _SCHEDULE.c.silent_since.is_(None))
    .values(silent_since=bindparam("since", type_=UtcDateTime))
)
_END = update(_SCHEDULE).where(_THIS, _SCHEDULE.c.silent_since.is_not(None)).values(silent_since=None)
_COUNT = select(func.count()).where(_ACTIVE, _SCHEDULE.c.silent_since.is_not(None))


@dataclass(frozen=True, slots=True)
class Sign:
    """What the database has of one schedule that could be silent."""

    name: str
    version: int
    trigger: dict[str, Any]
    counts_from: datetime
    silent_since: datetime | None
    #: Neither paused nor retired.
    active: bool
    #: The last due time that was fired, or left out by a policy.
    decided: datetime | None

    @property
    def last(self) -> datetime:
        """Due times after this one are still to come, or overdue."""
        return self.counts_from if self.decided is None else max(self.counts_from, self.decided)


def look(session: Session) -> list[Sign]:
    """All schedules that are active, or are still said to be silent."""
    rows = session.connection().execute(_LOOK)
    return [Sign(**row._mapping) for row in rows]  # noqa: SLF001  # public, see SQLAlchemy's Row


def begin(session: Session, schedule: str, since: datetime) -> bool:
    """Write down that a schedule is silent; False when that is known, or it is paused by now."""
    return bool(session.connection().execute(_BEGIN, {"schedule": schedule, "since": since}).rowcount)


def end(session: Session, schedule: str) -> bool:
    """Write down that it is not; False when it was not."""
    return bool(session.connection().execute(_END, {"schedule": schedule}).rowcount)


def count(session: Session) -> int:
    """How many schedules are said to be silent."""
    return int(session.connection().execute(_COUNT).scalar_one())
