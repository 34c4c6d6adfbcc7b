"""Which consumers are paused: one row each, and none for a consumer that runs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database.recovery_tables import Pause
from infra.database.tables import table

#: Who paused it: an operator, or the consumer itself after many failures in a row.
OPERATOR, FAILURES = "operator", "failures"

_PAUSE = table(Pause)
_ALL = select(_PAUSE).order_by(_PAUSE.c.consumer)
_REMOVE = delete(_PAUSE).where(_PAUSE.c.consumer == bindparam("name"))
_REMOVE_ITS_OWN = _REMOVE.where(_PAUSE.c.by == FAILURES)
_ITS_OWN = (_PAUSE.c.consumer == bindparam("name"), _PAUSE.c.by == FAILURES)
_MINE = (*_ITS_OWN, _PAUSE.c.prober == bindparam("me"))
_TAKE = (
    update(_PAUSE)
    .where(*_ITS_OWN, _PAUSE.c.probe_at <= bindparam("due"))
    .values(prober=bindparam("who"), probe_at=bindparam("next_at"))
)
_KEEP = update(_PAUSE).where(*_MINE).values(probe_at=bindparam("next_at"))
_END = update(_PAUSE).where(*_MINE).values(prober=None, probe_at=bindparam("next_at"))
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def pause(session: Session, consumer: str, by: str, reason: str, probe_at: datetime | None = None) -> bool:
    """Pause a consumer; an operator's pause takes the place of its own, never the other way round.

    False when it was paused already, with the same or a better right; then nothing changes.
    """
    row = {"consumer": consumer, "by": by, "reason": reason, "since": datetime.now(UTC)}
    row |= {"probe_at": probe_at, "prober": None}
    connection = session.connection()
    adding = _INSERT[connection.dialect.name](_PAUSE).values(row)
    if by == OPERATOR:
        adding = adding.on_conflict_do_update(index_elements=["consumer"], set_=row, where=_PAUSE.c.by != OPERATOR)
    else:
        adding = adding.on_conflict_do_nothing()
    return bool(connection.execute(adding.execution_options(preserve_rowcount=True)).rowcount)


def resume(session: Session, consumer: str, *, only_its_own: bool = False) -> bool:
    """Let a consumer run again, `only_its_own`: unless an operator paused it. False when there was nothing to do."""
    removing = _REMOVE_ITS_OWN if only_its_own else _REMOVE
    return bool(session.connection().execute(removing, {"name": consumer}).rowcount)


def paused(session: Session) -> Mapping[str, Pause]:
    """The paused consumers, by name."""
    rows = session.connection().execute(_ALL)
    return {row.consumer: Pause(**row._mapping) for row in rows}  # noqa: SLF001  # public, see SQLAlchemy's Row


def take_probe(session: Session, consumer: str, *, prober: str, now: datetime, until: datetime) -> bool:
    """Take the probe of a consumer that paused itself, if one is due; it is this prober's `until` then.

    True for one process only: whoever else asks finds it taken.
    """
    values = {"name": consumer, "due": now, "who": prober, "next_at": until}
    return bool(session.connection().execute(_TAKE, values).rowcount)


def keep_probe(session: Session, consumer: str, *, prober: str, until: datetime) -> bool:
    """Keep a probe whose message has not come or is not through; False when it is not this prober's any more."""
    return bool(session.connection().execute(_KEEP, {"name": consumer, "me": prober, "next_at": until}).rowcount)


def end_probe(session: Session, consumer: str, *, prober: str, next_at: datetime) -> bool:
    """Give a probe that failed back; the next one is due then. False when it is not this prober's any more."""
    return bool(session.connection().execute(_END, {"name": consumer, "me": prober, "next_at": next_at}).rowcount)
