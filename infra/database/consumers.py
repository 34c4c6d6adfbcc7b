"""The recorded consumers: what the relay declares on the broker before it publishes, and whom an event is for."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from infra.database import event_log
from infra.database.tables import Subscription, UtcDateTime, table
from infra.subscriptions import EVERY_TYPE, described
from infra.subscriptions import Subscription as Recorded

_SUBSCRIPTION = table(Subscription)
_ALL = select(_SUBSCRIPTION).order_by(_SUBSCRIPTION.c.consumer)
_TOUCH = (
    update(_SUBSCRIPTION)
    .where(_SUBSCRIPTION.c.consumer.in_(bindparam("names", expanding=True)))
    .values(seen_at=bindparam("now", type_=UtcDateTime))
)


def declare(session: Session, subscriptions: Iterable[Recorded]) -> list[str]:
    """Record each consumer, or what changed of it; a new one counts from the log's end. Gives the new ones' names."""
    known = {row.consumer for row in everyone(session)}
    since = event_log.last_position(session)
    new = []
    for subscription in subscriptions:
        _record(session, subscription, since)
        if subscription.consumer not in known:
            new.append(subscription.consumer)
    return new


def declared(session: Session) -> list[Subscription]:
    """The recorded consumers, by name, without those that are on their way out: these are given nothing new."""
    return [row for row in everyone(session) if row.retiring_since is None]


def everyone(session: Session) -> list[Subscription]:
    """All recorded consumers, by name."""
    rows = session.connection().execute(_ALL)
    return [Subscription(**row._mapping) for row in rows]  # noqa: SLF001  # public, see SQLAlchemy's Row


def touch(session: Session, names: Sequence[str]) -> None:
    """Write down that a program with these consumers' modules is at work now."""
    session.connection().execute(_TOUCH, {"names": list(names), "now": datetime.now(UTC)})


def takers(rows: Sequence[Subscription], event_type: str) -> list[Subscription]:
    """Those of the recorded consumers that events of this type are for."""
    return [row for row in rows if row.types == [EVERY_TYPE] or event_type in row.types]


def _record(session: Session, subscription: Recorded, since: int) -> None:
    insert = postgresql.insert if session.connection().dialect.name == "postgresql" else sqlite.insert
    changing = {
        "types": list(subscription.types),
        "description": subscription.description,
        "options": described(subscription),
    }
    new = {"consumer": subscription.consumer, "since": since, "scanned": since, "resent": 0}
    values = {**changing, **new, "declared_at": datetime.now(UTC)}
    session.connection().execute(
        insert(_SUBSCRIPTION).values(values).on_conflict_do_update(index_elements=["consumer"], set_=changing)
    )
