"""The ledger of due times as operators read it: by schedule, the newest first, and never all of it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, text
from sqlmodel import Session

from infra.database.schedule_runs import DUE, FIRED, ORDERED, SKIPPED
from infra.database.schedule_tables import Schedule
from infra.database.tables import SPECIAL, ScheduleRun, UtcDateTime, table

_RUN, _SCHEDULE = table(ScheduleRun), table(Schedule)
_SPECIAL = text(f"({SPECIAL})")
_OTHER = _RUN.alias("other")
_NEWEST = (
    select(_OTHER.c.due_at)
    .where(_OTHER.c.schedule == _SCHEDULE.c.name, _OTHER.c.state.in_((FIRED, SKIPPED)))
    .order_by(_OTHER.c.due_at.desc())
    .limit(1)
    .scalar_subquery()
)
_LAST = (
    select(_RUN)
    .join_from(_SCHEDULE, _RUN, (_RUN.c.schedule == _SCHEDULE.c.name) & (_RUN.c.due_at == _NEWEST))
    .where(_SCHEDULE.c.name.in_(bindparam("names", expanding=True)))
)
_FIRST = select(_RUN.c.due_at).where(_RUN.c.schedule == bindparam("name")).order_by(_RUN.c.due_at).limit(1)
_TAKEN = select(_RUN.c.due_at).where(
    _RUN.c.schedule == bindparam("name"),
    _RUN.c.due_at >= bindparam("first", type_=UtcDateTime),
    _RUN.c.due_at <= bindparam("last", type_=UtcDateTime),
    _RUN.c.state.in_((FIRED, ORDERED)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which runs; None asks for any."""

    state: str | None = None
    kind: str | None = None
    #: Due at this moment or after it.
    since: datetime | None = None
    #: Due before this moment.
    until: datetime | None = None


def page(
    session: Session, schedule: str, wanted: Filter = Filter(), *, before: datetime | None = None, limit: int = 50
) -> list[ScheduleRun]:
    """The runs of one schedule, the newest due time first, from before this one on."""
    equal = {"schedule": schedule, "state": wanted.state, "kind": wanted.kind}
    query = select(_RUN).where(*(_RUN.c[name] == value for name, value in equal.items() if value))
    if wanted.state not in {None, FIRED} or wanted.kind not in {None, DUE}:
        query = query.where(_SPECIAL)  # said in the index's own words, so that what is rare is found without a scan
    if wanted.since is not None:
        query = query.where(_RUN.c.due_at >= wanted.since)
    for end in (wanted.until, before):
        if end is not None:
            query = query.where(_RUN.c.due_at < end)
    return _runs(session.connection().execute(query.order_by(_RUN.c.due_at.desc()).limit(limit)))


def last(session: Session, schedules: Collection[str]) -> dict[str, ScheduleRun]:
    """The newest due time of each of these schedules that was fired or skipped, by name."""
    found = session.connection().execute(_LAST, {"names": list(schedules)}) if schedules else ()
    return {run.schedule: run for run in _runs(found)}


def taken(session: Session, schedule: str, first: datetime, last: datetime) -> set[datetime]:
    """The due times from `first` to `last` that are fired or ordered."""
    values = {"name": schedule, "first": first, "last": last}
    return set(session.connection().execute(_TAKEN, values).scalars())


def knows(session: Session, schedule: str) -> bool:
    """Whether a schedule of this name has, or had, any run."""
    return session.connection().execute(_FIRST, {"name": schedule}).first() is not None


def _runs(result: Iterable[Any]) -> list[ScheduleRun]:
    return [ScheduleRun(**row._mapping) for row in result]  # noqa: SLF001  # public, see SQLAlchemy's Row
