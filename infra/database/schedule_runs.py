"""The ledger of due times: one row for each that was decided, by whichever replica came first, or ordered."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, case, func, literal_column, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from events.clock import due_id
from infra.database.schedule_tables import Schedule
from infra.database.tables import ScheduleRun, UtcDateTime, table

#: Kinds of runs: in time or a little late, after a gap, by an operator (`due_at` is then when), by a backfill.
DUE, MISSED, MANUAL, BACKFILL = "due", "missed", "manual", "backfill"
#: Their states.
FIRED, ORDERED, SKIPPED, CANCELLED = "fired", "ordered", "skipped", "cancelled"

_RUN, _SCHEDULE = table(ScheduleRun), table(Schedule)
#: Those whose due times may be claimed. PostgreSQL keeps a pause waiting until the claim is committed; by name, see
#: `schedules`.
_RUNNING = (
    select(_SCHEDULE.c.name, _SCHEDULE.c.counts_from)
    .where(
        _SCHEDULE.c.name.in_(bindparam("names", expanding=True)),
        _SCHEDULE.c.paused_at.is_(None),
        _SCHEDULE.c.retired_at.is_(None),
    )
    .order_by(_SCHEDULE.c.name)
    .with_for_update(read=True)
)
_ADD = {
    name: dialect.insert(_RUN).on_conflict_do_nothing().returning(_RUN.c.schedule, _RUN.c.due_at)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
#: What was skipped, or given up, may be ordered again.
_ORDER = {
    name: adding.on_conflict_do_update(
        index_elements=["schedule", "due_at"],
        set_={each: adding.excluded[each] for each in ("state", "note", "operation_id", "fired_at")}
        # What the schedule decided itself stays so: after a restart it begins behind the newest of these.
        | {"kind": case((or_(_RUN.c.kind == DUE, _RUN.c.kind == MISSED), _RUN.c.kind), else_=adding.excluded.kind)},
        where=or_(_RUN.c.state == SKIPPED, _RUN.c.state == CANCELLED),
    ).returning(_RUN.c.schedule, _RUN.c.due_at)
    for name, adding in (("sqlite", sqlite.insert(_RUN)), ("postgresql", postgresql.insert(_RUN)))
}
#: Written out, so that the databases recognise the index of orders by it.
_IS_ORDERED = _RUN.c.state == literal_column(f"'{ORDERED}'")
_ORDERS = (
    select(_RUN)
    .where(_IS_ORDERED)
    .order_by(case((_RUN.c.kind == MANUAL, 0), else_=1), _RUN.c.due_at)
    .limit(bindparam("most"))
)
_TAKE_ORDERS = _ORDERS.with_for_update(skip_locked=True)
_ORDERS_LEFT = select(func.count()).where(_IS_ORDERED, _RUN.c.operation_id == bindparam("operation"))
_END_ORDER = (
    update(_RUN)
    .where(_RUN.c.schedule == bindparam("name"), _RUN.c.due_at == bindparam("due"), _RUN.c.state == ORDERED)
    .values(state=bindparam("new_state"), fired_at=bindparam("now"), note=func.coalesce(bindparam("why"), _RUN.c.note))
)
_LEAVE_OUT = (
    update(_RUN)
    .where(_RUN.c.schedule == bindparam("name"), _RUN.c.due_at == bindparam("due"))
    .values(state=SKIPPED, note=bindparam("why"))
)
_COUNT_AS_MISSED = (
    update(_RUN)
    .where(_RUN.c.schedule == bindparam("name"), _RUN.c.due_at == bindparam("due"), _RUN.c.kind.not_in((DUE, MISSED)))
    .values(kind=MISSED)
)
_CANCEL = (
    update(_RUN)
    .where(_IS_ORDERED, _RUN.c.operation_id == bindparam("operation"))
    .values(state=CANCELLED, fired_at=bindparam("now"))
)
_CANCEL_ALL = (
    update(_RUN)
    .where(_IS_ORDERED, _RUN.c.schedule == bindparam("name"))
    .values(state=CANCELLED, fired_at=bindparam("now"), note=bindparam("why"))
    .returning(_RUN.c.operation_id)
)
_NEWEST_OF_ONE = (
    select(_RUN.c.due_at)
    .where(
        _RUN.c.schedule == _SCHEDULE.c.name,
        _RUN.c.due_at <= bindparam("upto", type_=UtcDateTime),
        _RUN.c.kind.in_((DUE, MISSED)),
    )
    .order_by(_RUN.c.due_at.desc())
    .limit(1)
    .scalar_subquery()
)
_NEWEST = select(_SCHEDULE.c.name, _NEWEST_OF_ONE)
_SOME_NEWEST = _NEWEST.where(_SCHEDULE.c.name.in_(bindparam("names", expanding=True)))

#: A due time of a schedule: the ledger's key.
Key = tuple[str, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A due time that a replica means to decide."""

    schedule: str
    due_at: datetime
    event_id: str
    kind: str = DUE
    #: `fired`, or `skipped` with a note that says why.
    state: str = FIRED
    note: str | None = None


def claim(session: Session, claims: Sequence[Claim]) -> set[Key]:
    """Decide these due times, all in one statement; gives those that nobody had decided.

    Left out are those of schedules that are paused, retired, gone, or that count from a later moment.
    """
    names = sorted({each.schedule for each in claims})
    counting = {row.name: row.counts_from for row in session.connection().execute(_RUNNING, {"names": names})}
    new = [each for each in claims if each.schedule in counting and each.due_at > counting[each.schedule]]
    now = datetime.now(UTC)
    return _add(session, [asdict(each) | {"fired_at": now} for each in new])


def leave_out(session: Session, schedule: str, due: datetime, why: str) -> None:
    """Write, in the transaction that claimed it as fired, that it is not announced after all."""
    session.connection().execute(_LEAVE_OUT, {"name": schedule, "due": due, "why": why})


def count_as_missed(session: Session, schedule: str, due: datetime) -> None:
    """Let a due time that an operator ordered count as one that the schedule decided itself (see `newest_due`)."""
    session.connection().execute(_COUNT_AS_MISSED, {"name": schedule, "due": due})


def order(  # noqa: PLR0913  # a run has these parts
    session: Session,
    schedule: str,
    dues: Collection[datetime],
    kind: str,
    *,
    note: str | None = None,
    operation_id: str | None = None,
) -> list[datetime]:
    """Ask for a run at each of these due times; gives those that were neither fired nor ordered before, in order."""
    now = datetime.now(UTC)
    same = {"schedule": schedule, "kind": kind, "state": ORDERED, "note": note, "operation_id": operation_id}
    rows = [same | {"due_at": due, "event_id": due_id(schedule, due), "fired_at": now} for due in dues]
    return sorted(due for _, due in _add(session, rows, _ORDER))


def orders(session: Session, limit: int, *, lock: bool = False) -> list[ScheduleRun]:
    """What was ordered and has not been fired: manual runs before backfills, the oldest due times first.

    Locked, if asked for, until the transaction ends; those that another has locked are then left out.
    """
    return _runs(session.connection().execute(_TAKE_ORDERS if lock else _ORDERS, {"most": limit}))


def orders_left(session: Session, operation_id: str) -> int:
    """How many of a backfill's orders have not ended."""
    return int(session.connection().execute(_ORDERS_LEFT, {"operation": operation_id}).scalar_one())


def take_order(session: Session, schedule: str, due: datetime) -> bool:
    """Write, in the transaction that announces it, that it is fired; False when it is no order any more."""
    return _end_order(session, schedule, due, FIRED, None)


def cancel_order(session: Session, schedule: str, due: datetime, why: str) -> bool:
    """Give one order up; False when it is none any more."""
    return _end_order(session, schedule, due, CANCELLED, why)


def cancel_orders(session: Session, operation_id: str) -> int:
    """Give up what is left of a backfill; gives how many."""
    values = {"operation": operation_id, "now": datetime.now(UTC)}
    return session.connection().execute(_CANCEL, values).rowcount


def cancel_orders_of(session: Session, schedule: str, why: str) -> Counter[str | None]:
    """Give up all orders of one schedule; gives how many of each backfill, None being those of none."""
    values = {"name": schedule, "now": datetime.now(UTC), "why": why}
    return Counter(session.connection().execute(_CANCEL_ALL, values).scalars())


def newest_due(session: Session, *, upto: datetime, names: Collection[str] | None = None) -> dict[str, datetime]:
    """The last due time, not after `upto`, that each schedule decided by itself; those with none are left out."""
    values = {"upto": upto} if names is None else {"upto": upto, "names": list(names)}
    rows = session.connection().execute(_NEWEST if names is None else _SOME_NEWEST, values)
    return {name: due for name, due in rows if due is not None}


def _add(session: Session, rows: list[dict[str, object]], statements: Mapping[str, Any] = _ADD) -> set[Key]:
    """In the order of the key, so that two replicas that decide the same do not wait for one another in a circle."""
    if not rows:
        return set()
    connection = session.connection()
    ordered = sorted(rows, key=lambda row: (row["schedule"], row["due_at"]))
    return {(name, due) for name, due in connection.execute(statements[connection.dialect.name], ordered)}


def _end_order(session: Session, schedule: str, due: datetime, state: str, why: str | None) -> bool:
    values = {"name": schedule, "due": due, "new_state": state, "now": datetime.now(UTC), "why": why}
    return bool(session.connection().execute(_END_ORDER, values).rowcount)


def _runs(result: Iterable[Any]) -> list[ScheduleRun]:
    return [ScheduleRun(**row._mapping) for row in result]  # noqa: SLF001  # public, see SQLAlchemy's Row
