"""What was due while nobody was there for it, or while its schedule was paused: one row for each such span."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, cast, func, insert, select
from sqlmodel import Session
from uuid_utils.compat import uuid7

from infra.database.schedule_tables import ScheduleGap
from infra.database.tables import BIG, table

#: Why nobody announced it in time.
MISSED, PAUSED = "missed", "paused"

_GAP = table(ScheduleGap)
_ADD = insert(_GAP)
_COUNTS = (
    select(_GAP.c.schedule, cast(func.sum(_GAP.c.due - _GAP.c.fired), BIG))
    .where(_GAP.c.reason == MISSED)
    .group_by(_GAP.c.schedule)
)
_COUNT = _COUNTS.where(_GAP.c.schedule == bindparam("name"))


def new(  # noqa: PLR0913  # each is named
    *, schedule: str, reason: str, first: datetime, last: datetime, due: int, fired: int, policy: str
) -> ScheduleGap:
    """A gap that was found now."""
    return ScheduleGap(
        id=str(uuid7()),
        schedule=schedule,
        reason=reason,
        first_due_at=first,
        last_due_at=last,
        due=due,
        fired=fired,
        policy=policy,
        found_at=datetime.now(UTC),
    )


def add(session: Session, gap: ScheduleGap) -> None:
    """Write it down, in the transaction that announces what is announced of it."""
    session.connection().execute(_ADD, gap.model_dump())


def page(
    session: Session,
    *,
    schedule: str | None = None,
    reason: str | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[ScheduleGap]:
    """The newest first, from before the one with this id on."""
    equal = {"schedule": schedule, "reason": reason}
    query = select(_GAP).where(*(_GAP.c[name] == value for name, value in equal.items() if value))
    if before is not None:
        query = query.where(_GAP.c.id < before)
    rows = session.connection().execute(query.order_by(_GAP.c.id.desc()).limit(limit))
    return [ScheduleGap(**row._mapping) for row in rows]  # noqa: SLF001  # public, see SQLAlchemy's Row


def counts(session: Session) -> dict[str, int]:
    """How many due times were missed and never announced, by schedule; a pause is no miss."""
    return _counted(session.connection().execute(_COUNTS))


def count(session: Session, schedule: str) -> int:
    """The same of one schedule."""
    return _counted(session.connection().execute(_COUNT, {"name": schedule})).get(schedule, 0)


def _counted(rows: Any) -> dict[str, int]:
    return {name: int(missed) for name, missed in rows}
