"""Operations: what operators started and what is worked off in the background, with how far each has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Integer, bindparam, insert, select, update
from sqlmodel import Session
from uuid_utils.compat import uuid7

from infra.database.recovery_tables import Operation
from infra.database.tables import table

#: States in which there is work left.
OPEN = ("running", "stopping")
#: Kinds: dead letters that are sent again (worked off by the consumers' duty), due times that are announced after the
#: fact (worked off by the scheduler), events of the past that one consumer is given (by the relay), and a consumer that
#: leaves.
REPLAY, BACKFILL, PAST, RETIRE = "replay", "schedule.backfill", "consumer.backfill", "consumer.retire"

_OPERATION = table(Operation)
_ADD = insert(_OPERATION)
_FIND = select(_OPERATION).where(_OPERATION.c.id == bindparam("operation"))
_LOCK = _FIND.with_for_update()
_OPEN = (
    select(_OPERATION.c.id)
    .where(_OPERATION.c.state.in_(OPEN), _OPERATION.c.kind == bindparam("of_kind"))
    .order_by(_OPERATION.c.id)
)
_STOP = (
    update(_OPERATION)
    .where(_OPERATION.c.id == bindparam("operation"), _OPERATION.c.state == "running")
    .values(state="stopping", updated_at=bindparam("now"))
)
_RESUME = (
    update(_OPERATION)
    .where(_OPERATION.c.id == bindparam("operation"), _OPERATION.c.state == "stopped")
    .values(state="running", message="goes on", updated_at=bindparam("now"), finished_at=None)
)
_EXTEND = (
    update(_OPERATION)
    .where(_OPERATION.c.id == bindparam("operation"))
    .values(
        total=_OPERATION.c.total + bindparam("more", type_=Integer),
        sent=_OPERATION.c.sent + bindparam("newly_sent", type_=Integer),
        updated_at=bindparam("now"),
    )
)
_WRITE = (
    update(_OPERATION)
    .where(_OPERATION.c.id == bindparam("operation"))
    .values(
        state=bindparam("new_state"),
        total=bindparam("all"),
        sent=bindparam("all_sent"),
        handled=bindparam("all_handled"),
        failed=bindparam("all_failed"),
        message=bindparam("text"),
        updated_at=bindparam("now"),
        finished_at=bindparam("ended"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which operations; None asks for any."""

    kind: str | None = None
    state: str | None = None


def add(  # noqa: PLR0913  # what is known of it, by name
    session: Session,
    kind: str,
    request: Mapping[str, Any],
    *,
    operation_id: str,
    total: int,
    may_grow: bool = False,
) -> Operation:
    """Write down a new one, which runs from the commit on; one that has nothing to do, and never will, is done."""
    now, runs = datetime.now(UTC), bool(total or may_grow)
    operation = Operation(
        id=operation_id,
        kind=kind,
        state="running" if runs else "done",
        request=dict(request),
        total=total,
        message="begins" if runs else "nothing to do",
        created_at=now,
        updated_at=now,
        finished_at=None if runs else now,
    )
    session.connection().execute(_ADD, operation.model_dump())
    return operation


def new_id() -> str:
    """An id for an operation that is about to be added."""
    return str(uuid7())


def find(session: Session, operation_id: str, *, lock: bool = False) -> Operation | None:
    """One of them; locked, if asked for, until the transaction ends."""
    row = session.connection().execute(_LOCK if lock else _FIND, {"operation": operation_id}).one_or_none()
    return None if row is None else Operation(**row._mapping)  # noqa: SLF001  # public, see SQLAlchemy's Row


def open_ids(session: Session, kind: str) -> list[str]:
    """Those of one kind that have work left, the oldest first."""
    return list(session.connection().execute(_OPEN, {"of_kind": kind}).scalars())


def page(session: Session, wanted: Filter, *, before: str | None = None, limit: int = 50) -> list[Operation]:
    """The newest first, from before the one with this id on."""
    equal = {"kind": wanted.kind, "state": wanted.state}
    query = select(_OPERATION).where(*(_OPERATION.c[name] == value for name, value in equal.items() if value))
    if before is not None:
        query = query.where(_OPERATION.c.id < before)
    rows = session.connection().execute(query.order_by(_OPERATION.c.id.desc()).limit(limit))
    return [Operation(**row._mapping) for row in rows]  # noqa: SLF001  # public, see SQLAlchemy's Row


def ask_to_stop(session: Session, operation_id: str) -> bool:
    """Ask one that runs to stop; False when it does not run."""
    values = {"operation": operation_id, "now": datetime.now(UTC)}
    return bool(session.connection().execute(_STOP, values).rowcount)


def resume(session: Session, operation_id: str) -> bool:
    """Let one that was stopped go on; False when it is not stopped."""
    values = {"operation": operation_id, "now": datetime.now(UTC)}
    return bool(session.connection().execute(_RESUME, values).rowcount)


def extend(session: Session, operation_id: str, *, total: int = 0, sent: int = 0) -> None:
    """Add to what there is to do, and to what was sent."""
    values = {"operation": operation_id, "more": total, "newly_sent": sent, "now": datetime.now(UTC)}
    session.connection().execute(_EXTEND, values)


def write(session: Session, operation: Operation) -> None:
    """Write how far it has come, and the state that it is in now; one that is not open any more has ended now."""
    now = datetime.now(UTC)
    values = {
        "operation": operation.id,
        "new_state": operation.state,
        "all": operation.total,
        "all_sent": operation.sent,
        "all_handled": operation.handled,
        "all_failed": operation.failed,
        "text": operation.message,
        "now": now,
        "ended": None if operation.state in OPEN else now,
    }
    session.connection().execute(_WRITE, values)
