"""Consumers on their way out: who is, what is left of each, and the end of all that the database has of one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, func, select, update
from sqlmodel import Session, SQLModel

from infra.database.consumer_tables import Backfill, Waiting
from infra.database.recovery_tables import Emptied, Pause, Resend, Unsettled
from infra.database.settling import WHO, settled
from infra.database.tables import EventLog, Inbox, Subscription, UtcDateTime, table

_SUBSCRIPTION, _INBOX, _LOG = table(Subscription), table(Inbox), table(EventLog)
_UNSETTLED, _WAITING, _RESEND = table(Unsettled), table(Waiting), table(Resend)
_THIS = _SUBSCRIPTION.c.consumer == WHO
_FIND = select(_SUBSCRIPTION).where(_THIS)
_BEGIN = update(_SUBSCRIPTION).where(_THIS, _SUBSCRIPTION.c.retiring_since.is_(None))
_BEGIN = _BEGIN.values(retiring_since=bindparam("now", type_=UtcDateTime))
_TAKE_BACK = update(_SUBSCRIPTION).where(_THIS).values(retiring_since=None)
#: Through the whole inbox, which has no index for it; it is asked once in a while, of consumers that go.
_RETURNS = select(func.max(_INBOX.c.retry_at, type_=UtcDateTime)).where(
    _INBOX.c.consumer == WHO, _INBOX.c.state == "retrying"
)
_MOST: BindParameter[int] = bindparam("most")
_WAIT = (
    select(_LOG)
    .join(_WAITING, _WAITING.c.event_id == _LOG.c.event_id)
    .where(_WAITING.c.consumer == WHO)
    .order_by(_WAITING.c.position)
    .limit(_MOST)
)
_OPEN = (
    select(_LOG)
    .join(_UNSETTLED, _UNSETTLED.c.position == _LOG.c.position)
    .where(_UNSETTLED.c.consumer == WHO, _LOG.c.erased_at.is_(None), ~settled(_LOG.c.event_id))
    .order_by(_LOG.c.position)
    .limit(_MOST)
)
_RESENDS = select(_RESEND).where(_RESEND.c.consumer == WHO).order_by(_RESEND.c.sequence).limit(_MOST)
_STOP_WAITING = delete(_WAITING).where(_WAITING.c.consumer == WHO, _WAITING.c.event_id == bindparam("event"))
_COUNT_WAITING = select(func.count()).select_from(_WAITING).where(_WAITING.c.consumer == WHO)
_COUNT_RESENDS = select(func.count()).select_from(_RESEND).where(_RESEND.c.consumer == WHO)
_OF_IT: dict[type[SQLModel], str] = {
    Unsettled: "consumer", Waiting: "consumer", Resend: "consumer", Pause: "consumer", Backfill: "consumer",
    Emptied: "queue", Subscription: "consumer",
}  # fmt: skip
_REMOVE = [delete(table(model)).where(table(model).c[name] == WHO) for model, name in _OF_IT.items()]


def begin(session: Session, consumer: str) -> bool:
    """Let a consumer be given nothing new; False when it is on its way out already, or is none."""
    return bool(session.connection().execute(_BEGIN, {"who": consumer, "now": datetime.now(UTC)}).rowcount)


def take_back(session: Session, consumer: str) -> None:
    """Make it a consumer as all others again; what it missed the sweep finds and sends."""
    session.connection().execute(_TAKE_BACK, {"who": consumer})


def find(session: Session, consumer: str) -> Subscription | None:
    """A consumer, on its way out or not."""
    row = session.connection().execute(_FIND, {"who": consumer}).one_or_none()
    return None if row is None else Subscription(**row._mapping)  # noqa: SLF001  # public, see SQLAlchemy's Row


def last_return(session: Session, consumer: str) -> datetime | None:
    """When the last of its retries returns from its tier, or has."""
    found: datetime | None = session.connection().execute(_RETURNS, {"who": consumer}).scalar_one()
    return found


def waiting(session: Session, consumer: str, most: int) -> list[EventLog]:
    """Events that wait for an earlier one of their subject."""
    return _logged(session, _WAIT, consumer, most)


def still_open(session: Session, consumer: str, most: int) -> list[EventLog]:
    """Events that a scan of the log has left behind, and that are not settled."""
    return _logged(session, _OPEN, consumer, most)


def resends(session: Session, consumer: str, most: int) -> list[Resend]:
    """What waits to be sent to it."""
    rows = session.connection().execute(_RESENDS, {"who": consumer, "most": most})
    return [Resend(**row._mapping) for row in rows]  # noqa: SLF001  # public, see SQLAlchemy's Row


def count_elsewhere(session: Session, consumer: str) -> int:
    """How many messages for it are in the database: they wait for an earlier one, or to be sent."""
    query = {"who": consumer}
    return sum(int(session.connection().execute(each, query).scalar_one()) for each in (_COUNT_WAITING, _COUNT_RESENDS))


def stop_waiting(session: Session, consumer: str, event_ids: Sequence[str]) -> None:
    """These need no turn any more."""
    if event_ids:
        session.connection().execute(_STOP_WAITING, [{"who": consumer, "event": each} for each in event_ids])


def remove(session: Session, consumer: str) -> None:
    """Forget it: what is left is its story, in the inbox, the effects, the dead letters and the audit."""
    for each in _REMOVE:
        session.connection().execute(each, {"who": consumer})


def _logged(session: Session, query: Any, consumer: str, most: int) -> list[EventLog]:
    rows = session.connection().execute(query, {"who": consumer, "most": most})
    return [EventLog(**row._mapping) for row in rows]  # noqa: SLF001  # public, see SQLAlchemy's Row
