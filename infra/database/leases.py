"""Leases: the right to do something alone, for a few seconds at a time (Gray and Cheriton, SOSP 1989).

Time is the database's where it has a clock that all programs share (PostgreSQL), else this machine's, which all
programs on one SQLite file share too.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ScalarSelect, Update, bindparam, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database.tables import Lease, table
from infra.errors import LeaseLost

#: No lease is granted for longer. One that ends later was granted before the clock was set back: a dead holder's would
#: keep all others waiting for as long as it was set back, and one that lives finds out before it writes anything.
_LONGEST = timedelta(minutes=1)
_LEASE = table(Lease)
_MINE = (_LEASE.c.name == bindparam("lease"), _LEASE.c.holder == bindparam("me"))
_FREE = update(_LEASE).where(
    _LEASE.c.name == bindparam("lease"),
    or_(
        _LEASE.c.holder == bindparam("me"),
        _LEASE.c.expires_at <= bindparam("now"),
        _LEASE.c.expires_at > bindparam("latest"),
    ),
)
_TAKE = _FREE.values(holder=bindparam("me"), expires_at=bindparam("until"))
_RELEASE = update(_LEASE).where(*_MINE).values(expires_at=bindparam("now"))
_NEW = {"name": bindparam("lease"), "holder": bindparam("me"), "expires_at": bindparam("until"), "counter": 0}
_FOUND = {
    name: dialect.insert(_LEASE).values(_NEW).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


@dataclass(frozen=True, slots=True)
class Holding:
    """A lease that this process believes to hold."""

    name: str
    holder: str
    #: How long it lasts from each renewal.
    seconds: float


def acquire(session: Session, name: str, holder: str, seconds: float) -> bool:
    """Take the lease if it is free or has run out, renew it if it is ours; False while another holds it."""
    now = _now(session)
    values = {
        "lease": name,
        "me": holder,
        "now": now,
        "until": now + timedelta(seconds=seconds),
        "latest": now + _LONGEST,
    }
    if session.connection().execute(_TAKE, values).rowcount:
        return True
    return bool(session.connection().execute(_FOUND[session.connection().dialect.name], values).rowcount)


def release(session: Session, name: str, holder: str) -> None:
    """Give the lease back before its time, so that the next one need not wait."""
    session.connection().execute(_RELEASE, {"lease": name, "me": holder, "now": _now(session)})


def raising(floor: ScalarSelect[int]) -> Update:
    """The statement for `raise_counter`: counts on from the floor if the counter is below, as in a new lease's row."""
    counter = case((_LEASE.c.counter < floor, floor), else_=_LEASE.c.counter) + bindparam("by")
    return (
        update(_LEASE).where(*_MINE).values(counter=counter, expires_at=bindparam("until")).returning(_LEASE.c.counter)
    )


def raise_counter(session: Session, held: Holding, by: int, raising: Update) -> int:
    """Renew the lease and raise its counter in one statement, which also locks it until the commit; the new value.

    Raises:
        LeaseLost: somebody else took it, so nothing of this transaction may stay.
    """
    until = _now(session) + timedelta(seconds=held.seconds)
    values = {"lease": held.name, "me": held.holder, "by": by, "until": until}
    counter = session.connection().execute(raising, values).scalar()
    if counter is None:
        raise LeaseLost(f"The lease {held.name!r} is not ours any more.")
    return int(counter)


def _now(session: Session) -> datetime:
    if session.connection().dialect.name == "postgresql":
        now: datetime = session.connection().execute(select(func.clock_timestamp())).scalar_one()
        return now
    return datetime.now(UTC)
