"""The timetable as every replica follows it: one row for each schedule, made by code or by an operator."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, cast, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database.schedule_tables import Schedule
from infra.database.tables import BIG, UtcDateTime, table

#: Who made a schedule.
CODE, OPERATOR = "code", "operator"

_SCHEDULE = table(Schedule)
_THIS = _SCHEDULE.c.name == bindparam("schedule")
_ALL = select(_SCHEDULE).order_by(_SCHEDULE.c.name)
#: Whoever locks several rows does it by name, so that nobody waits for one who waits for him.
_LOCK_ALL = _ALL.with_for_update()
_STAMP = select(func.count(), cast(func.coalesce(func.sum(_SCHEDULE.c.version), 0), BIG))
_VERSIONS = select(_SCHEDULE.c.name, _SCHEDULE.c.version)
_SOME = _ALL.where(_SCHEDULE.c.name.in_(bindparam("names", expanding=True)))
_FIND = select(_SCHEDULE).where(_THIS)
_LOCK = _FIND.with_for_update()
_HOLD = (
    select(_SCHEDULE.c.name)
    .where(_SCHEDULE.c.name.in_(bindparam("names", expanding=True)))
    .order_by(_SCHEDULE.c.name)
    .with_for_update()
)
_INSERT = {
    name: dialect.insert(_SCHEDULE).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_REMOVE = delete(_SCHEDULE).where(_THIS, _SCHEDULE.c.origin == OPERATOR)
_CHANGE = update(_SCHEDULE).where(_THIS).values(version=_SCHEDULE.c.version + 1)
_PAUSE = _CHANGE.where(_SCHEDULE.c.paused_at.is_(None)).values(
    paused_at=bindparam("now", type_=UtcDateTime), paused_by=bindparam("who"), paused_why=bindparam("why")
)
_RESUME = _CHANGE.where(_SCHEDULE.c.paused_at.is_not(None)).values(
    paused_at=None, paused_by=None, paused_why=None, counts_from=bindparam("now", type_=UtcDateTime)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What makes a schedule."""

    name: str
    #: As `infra.schedules.triggers` writes it.
    trigger: Mapping[str, Any]
    #: Type of the event.
    type: str
    #: The event's data, for one of an operator's.
    data: Mapping[str, Any] | None = None
    description: str = ""
    missed: str = "latest"
    missed_limit: int = 100
    overlap: str = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which schedules; None asks for any. `state` is `running`, `silent`, `paused` or `retired`."""

    origin: str | None = None
    type: str | None = None
    state: str | None = None


@dataclass(slots=True)
class Declared:
    """What the code's timetable changed, by name."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    #: Those whose name an operator's schedule has: that one stays, the code's is left out.
    taken: list[str] = field(default_factory=list)


def declare(session: Session, definitions: Iterable[Definition]) -> Declared:
    """Write the code's timetable down: what is new counts from now, what the code has no more is retired."""
    wanted = {each.name: each for each in definitions}
    declared = Declared()
    now = datetime.now(UTC)
    for name, definition in sorted(wanted.items()):
        if _insert(session, definition, CODE, now):
            declared.added.append(name)
    for row in _rows(session.connection().execute(_LOCK_ALL)):
        if row.name not in declared.added:
            _redeclare(session, row, wanted.get(row.name), declared, now)
    return declared


def stamp(session: Session) -> tuple[int, int]:
    """Another one after each change that replicas have to follow."""
    count, versions = session.connection().execute(_STAMP).one()
    return int(count), int(versions)


def versions(session: Session) -> dict[str, int]:
    """The version of each, by name: what a replica asks first, for whole rows take ten times as long to read."""
    return {row.name: row.version for row in session.connection().execute(_VERSIONS)}


def some(session: Session, names: Collection[str]) -> list[Schedule]:
    """Those of these names that there are."""
    return _rows(session.connection().execute(_SOME, {"names": list(names)})) if names else []


def find(session: Session, name: str, *, lock: bool = False) -> Schedule | None:
    """One of them; locked, if asked for, until the transaction ends."""
    rows = _rows(session.connection().execute(_LOCK if lock else _FIND, {"schedule": name}))
    return rows[0] if rows else None


def hold(session: Session, names: Collection[str]) -> None:
    """Lock several, until the transaction ends."""
    session.connection().execute(_HOLD, {"names": sorted(names)})


def page(session: Session, wanted: Filter, *, after: str | None = None, limit: int = 50) -> list[Schedule]:
    """By name, from after the one with this name on."""
    equal = {"origin": wanted.origin, "type": wanted.type}
    query = select(_SCHEDULE).where(*(_SCHEDULE.c[name] == value for name, value in equal.items() if value))
    if wanted.state is not None:
        query = query.where(*_in_state(wanted.state))
    if after is not None:
        query = query.where(_SCHEDULE.c.name > after)
    return _rows(session.connection().execute(query.order_by(_SCHEDULE.c.name).limit(limit)))


def add(session: Session, definition: Definition) -> bool:
    """Add an operator's schedule, which counts from now; False when the name is taken."""
    return _insert(session, definition, OPERATOR, datetime.now(UTC))


def remove(session: Session, name: str) -> bool:
    """Remove an operator's schedule; False when there is none of this name."""
    return bool(session.connection().execute(_REMOVE, {"schedule": name}).rowcount)


def pause(session: Session, name: str, who: str, why: str) -> bool:
    """Let no due time be announced from the commit on; False when it is paused, or there is none."""
    values = {"schedule": name, "now": datetime.now(UTC), "who": who, "why": why}
    return bool(session.connection().execute(_PAUSE, values).rowcount)


def resume(session: Session, name: str, *, now: datetime | None = None) -> bool:
    """Let the due times after this moment count; False when it is not paused.

    What was due meanwhile is written down by the caller.
    """
    return bool(session.connection().execute(_RESUME, {"schedule": name, "now": now or datetime.now(UTC)}).rowcount)


def _redeclare(session: Session, row: Schedule, wanted: Definition | None, declared: Declared, now: datetime) -> None:
    if row.origin == OPERATOR:
        if wanted is not None:
            declared.taken.append(row.name)
    elif wanted is None:
        if row.retired_at is None:
            _change(session, row.name, {"retired_at": now})
            declared.retired.append(row.name)
    elif changes := _differences(row, wanted, now):
        _change(session, row.name, changes)
        declared.changed.append(row.name)


def _differences(row: Schedule, wanted: Definition, now: datetime) -> dict[str, Any]:
    changes = {name: value for name, value in _columns(wanted).items() if getattr(row, name) != value}
    if row.retired_at is not None:
        changes["retired_at"] = None
    if "trigger" in changes or "retired_at" in changes:  # the new one was never due before
        changes["counts_from"] = now
    return changes


def _change(session: Session, name: str, values: Mapping[str, Any]) -> None:
    session.connection().execute(_CHANGE.values(**values), {"schedule": name})


def _insert(session: Session, definition: Definition, origin: str, now: datetime) -> bool:
    row = {**_columns(definition), "origin": origin, "counts_from": now, "created_at": now}
    row["version"] = int(now.timestamp() * 1000)
    connection = session.connection()
    return bool(connection.execute(_INSERT[connection.dialect.name], row).rowcount)


def _columns(definition: Definition) -> dict[str, Any]:
    plain = replace(definition, trigger=dict(definition.trigger))
    return asdict(plain)


def _in_state(state: str) -> Sequence[Any]:
    paused, retired = _SCHEDULE.c.paused_at, _SCHEDULE.c.retired_at
    active = (paused.is_(None), retired.is_(None))
    return {
        "running": (*active, _SCHEDULE.c.silent_since.is_(None)),
        "paused": (paused.is_not(None), retired.is_(None)),
        "retired": (retired.is_not(None),),
        "silent": (*active, _SCHEDULE.c.silent_since.is_not(None)),
    }[state]


def _rows(result: Iterable[Any]) -> list[Schedule]:
    return [Schedule(**row._mapping) for row in result]  # noqa: SLF001  # public, see SQLAlchemy's Row
