"""The effect ledger: what a handler intends outside the database, and whether it has happened."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlmodel import Session

from infra.database.session import add_rows
from infra.database.tables import Effect, table
from infra.effects import Intent
from infra.errors import Busy
from infra.owners import is_gone

_EFFECT = table(Effect)
_KEY = (
    _EFFECT.c.event_id == bindparam("event"),
    _EFFECT.c.consumer == bindparam("who"),
    _EFFECT.c.ordinal == bindparam("number"),
)
_INTEND = insert(_EFFECT)
_UNSENT = (
    select(_EFFECT)
    .where(_KEY[0], _KEY[1], _EFFECT.c.state.not_in(("sent", "erased")))
    .order_by(_EFFECT.c.ordinal)
    .with_for_update()
)
_OF_EVENT = select(_EFFECT).where(_KEY[0]).order_by(_EFFECT.c.consumer, _EFFECT.c.ordinal)
_SENT = update(_EFFECT).where(*_KEY).values(state="sent", sent_at=bindparam("at"), error=None)
_FAILED = (
    update(_EFFECT)
    .where(*_KEY, _EFFECT.c.state != "erased")
    .values(state=bindparam("now"), error=bindparam("text"), busy_until=bindparam("at"))
)
_STATE = select(_EFFECT.c.state).where(*_KEY)
_FORGET = delete(_EFFECT).where(_KEY[0], _KEY[1])
_TAKE = update(_EFFECT).where(_KEY[0], _KEY[1]).values(owner=bindparam("me"), busy_until=bindparam("until"))
#: How long an effect belongs to the process that began it. One that dies on another machine delays its effects by as
#: much; one that is slower may be overtaken, and the effect happens twice.
LEASE = timedelta(seconds=20)
#: Until when an effect that nobody holds is held: a moment that is over by any machine's clock.
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def intend(session: Session, intents: Sequence[Intent], owner: str, *, later: bool = False) -> None:
    """Write down, in the handler's transaction, what this process is to do after its commit.

    `later` is after a further one, which may be another process's: nobody holds them until then.
    """
    busy_until = _LONG_AGO if later else datetime.now(UTC) + LEASE
    add_rows(session, _INTEND, [_row(intent, owner, busy_until) for intent in intents])


def take(session: Session, event_id: str, consumer: str, owner: str) -> list[Intent]:
    """What an earlier delivery intended and is not known to have happened; it is this process's now.

    Raises:
        Busy: the process that began it may be at work on it.
    """
    now = datetime.now(UTC)
    key = {"event": event_id, "who": consumer}
    rows = session.connection().execute(_UNSENT, key).all()
    if any(row.owner != owner and row.busy_until > now and not is_gone(row.owner) for row in rows):
        raise Busy("Another process may be performing this event's effects.")
    if rows:
        session.connection().execute(_TAKE, {**key, "me": owner, "until": now + LEASE})
    return [Intent(row.event_id, row.consumer, row.ordinal, row.kind, row.arguments, row.key) for row in rows]


def mark_sent(session: Session, intent: Intent) -> None:
    """Write that it happened."""
    session.connection().execute(_SENT, {**_key(intent), "at": datetime.now(UTC)})


def mark_failed(session: Session, intent: Intent, error: str, *, unknown: bool) -> None:
    """Write why it did not happen, or that nobody knows whether it did."""
    values = {"now": "unknown" if unknown else "intended", "text": error, "at": datetime.now(UTC)}
    session.connection().execute(_FAILED, {**_key(intent), **values})


def is_erased(session: Session, intent: Intent) -> bool:
    """Whether it is not to happen any more."""
    return session.connection().execute(_STATE, _key(intent)).scalar() == "erased"


def forget(session: Session, keys: Sequence[tuple[str, str]]) -> None:
    """Let the effects of these (event id and consumer) be intended and performed again, with the same keys."""
    rows = [{"event": event_id, "who": consumer} for event_id, consumer in keys]
    if rows:
        session.connection().execute(_FORGET, rows)


def of_event(session: Session, event_id: str) -> list[Effect]:
    """All effects of one event, at all consumers."""
    rows = session.connection().execute(_OF_EVENT, {"event": event_id})
    return [Effect(**row._mapping) for row in rows]  # noqa: SLF001  # public, see SQLAlchemy's Row


def _key(intent: Intent) -> dict[str, Any]:
    return {"event": intent.event_id, "who": intent.consumer, "number": intent.ordinal}


def _row(intent: Intent, owner: str, busy_until: datetime) -> dict[str, Any]:
    return {
        "event_id": intent.event_id,
        "consumer": intent.consumer,
        "ordinal": intent.ordinal,
        "kind": intent.kind,
        "arguments": intent.arguments,
        "key": intent.key,
        "state": "intended",
        "owner": owner,
        "busy_until": busy_until,
    }
