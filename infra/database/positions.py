"""Settled positions: up to where in the event log each consumer has handled, or given up, everything that is for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import bindparam, update
from sqlmodel import Session

from infra.database import consumers, event_log, settling, unsettled
from infra.database.settling import Open
from infra.database.tables import BIG, Subscription, table
from infra.subscriptions import EVERY_TYPE

_SUBSCRIPTION = table(Subscription)
_WHO = _SUBSCRIPTION.c.consumer == bindparam("who")
_RAISE = (
    update(_SUBSCRIPTION)
    .where(_WHO, _SUBSCRIPTION.c.scanned == bindparam("before", type_=BIG))
    .values(scanned=bindparam("end", type_=BIG))
)
_PASS = (
    update(_SUBSCRIPTION)
    .where(
        _SUBSCRIPTION.c.consumer.in_(bindparam("consumers", expanding=True)),
        _SUBSCRIPTION.c.scanned >= bindparam("after", type_=BIG),
        _SUBSCRIPTION.c.scanned < bindparam("end", type_=BIG),
    )
    .values(scanned=bindparam("end", type_=BIG))
)
_COUNT = update(_SUBSCRIPTION).where(_WHO).values(resent=_SUBSCRIPTION.c.resent + bindparam("more", type_=BIG))
#: Events after the scan that are looked at one by one; those beyond count as not settled.
_LOOKED_AT = 10_000
#: Events at the log's end within which it is asked for all consumers together whose types came.
NEAR = 1_000


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one consumer has come."""

    #: Every event for it at or below this position is handled, or kept as a dead letter.
    settled: int
    #: Position of the log's newest event.
    last: int
    #: Events for it that are not settled.
    lag_events: int
    #: Age of the oldest of them.
    lag_seconds: float
    #: Events that the sweep sent to it again, in all.
    resent: int
    #: Rows that its scan has left behind, settled meanwhile or not.
    unsettled: int


def standing(session: Session) -> dict[str, Standing]:
    """Where every recorded consumer stands; costs as much as there is unsettled, whatever the log's length."""
    last, rows = event_log.last_position(session), consumers.declared(session)
    late = {row.consumer for row in behind(session, rows, last)}
    return {row.consumer: of(session, row, last) if row.consumer in late else calm(row, last) for row in rows}


def behind(session: Session, rows: Sequence[Subscription], last: int) -> list[Subscription]:
    """Those whose scan has not come to the log's end, or has left something behind; the others have settled all.

    The rows must have been read before: a scan moves on and leaves something behind in one transaction.
    """
    left = unsettled.left_behind(session)
    return [row for row in rows if row.scanned < last or row.consumer in left]


def unconcerned(session: Session, rows: Sequence[Subscription], last: int) -> list[str]:
    """Those whose scan is near the log's end, and for whom nothing has come since."""
    near = [row for row in rows if last - NEAR <= row.scanned < last]
    if not near:
        return []
    came = event_log.types_between(session, min(row.scanned for row in near), last)
    return [row.consumer for row in near if came.isdisjoint(row.types) and EVERY_TYPE not in row.types]


def pass_over(session: Session, names: Sequence[str], last: int) -> None:
    """Move the scans of those on that are not concerned, all at once."""
    session.connection().execute(_PASS, {"consumers": names, "after": last - NEAR, "end": last})


def of(session: Session, row: Subscription, last: int) -> Standing:
    """Where one consumer stands, `last` being the log's last position."""
    who, types = row.consumer, row.types
    end = settling.slice_end(session, types, row.scanned, last, _LOOKED_AT)
    ahead = settling.summary_between(session, who, types, row.scanned, end)
    found = settling.merged([unsettled.still_open(session, who), ahead])
    return Standing(
        settled=max(row.scanned, end) if found.position is None else found.position - 1,
        last=last,
        lag_events=found.count + settling.count_after(session, types, end, last),
        lag_seconds=_age(found.published_at),
        resent=row.resent,
        unsettled=unsettled.count(session, who),
    )


def advance(session: Session, consumer: str, before: int, end: int, left: Sequence[Open]) -> bool:
    """Move the scan on and record what it leaves behind; False if another scan moved it meanwhile."""
    if not session.connection().execute(_RAISE, {"who": consumer, "before": before, "end": end}).rowcount:
        return False
    unsettled.add(session, consumer, left)
    return True


def count_resent(session: Session, consumer: str, more: int) -> None:
    """Add to the number of events that were sent again."""
    session.connection().execute(_COUNT, {"who": consumer, "more": more})


def calm(row: Subscription, last: int) -> Standing:
    """Where one stands that has settled all."""
    return Standing(max(row.scanned, last), last, lag_events=0, lag_seconds=0.0, resent=row.resent, unsettled=0)


def _age(published_at: datetime | None) -> float:
    return 0.0 if published_at is None else max(0.0, (datetime.now(UTC) - published_at).total_seconds())
