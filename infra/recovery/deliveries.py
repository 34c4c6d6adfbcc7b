"""What became of an event at each consumer, from the recorded consumers, the inbox and the effects."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import bindparam, select
from sqlmodel import Session

from infra.database import consumers, pauses
from infra.database.tables import Effect, EventLog, Inbox, table

_INBOX = table(Inbox)
_EFFECT = table(Effect)
_RECORDS = select(_INBOX).where(_INBOX.c.event_id == bindparam("event"))
_EFFECTS = (
    select(_EFFECT.c.consumer, _EFFECT.c.kind, _EFFECT.c.state, _EFFECT.c.key, _EFFECT.c.sent_at, _EFFECT.c.error)
    .where(_EFFECT.c.event_id == bindparam("event"))
    .order_by(_EFFECT.c.ordinal)
)
#: Inbox states that the operator sees by the same name.
_SAME = frozenset({"retrying", "handled", "dead"})

State = Literal["pending", "handled", "retrying", "dead", "paused"]


class EffectView(BaseModel):
    """Something outside the database that a handler intended, such as a mail."""

    kind: str
    state: Literal["intended", "sent", "unknown"]
    key: str = Field(description="What the other side knows it by; a mail's Message-ID.")
    sent_at: datetime | None
    error: str | None


class Delivery(BaseModel):
    """One event at one consumer."""

    consumer: str
    state: State = Field(description="paused: it waits for its consumer, which is paused; see `/consumers`.")
    attempts: int = 0
    first_at: datetime | None = None
    handled_at: datetime | None = None
    error: str | None = None
    effects: list[EffectView] = []


def expected(session: Session, event_type: str) -> list[Delivery]:
    """The deliveries of an event that is not published yet."""
    takers = consumers.takers(consumers.declared(session), event_type)
    return [Delivery(consumer=taker.consumer, state="pending") for taker in takers]


def of(session: Session, event: EventLog) -> list[Delivery]:
    """One for each consumer that the event is for, and for each that has had it all the same (a replay, say)."""
    takers = consumers.takers(consumers.declared(session), event.type)
    paused = pauses.paused(session)
    found = {name: Delivery(consumer=name, state="paused" if name in paused else "pending")
             for name in (taker.consumer for taker in takers if taker.since < event.position)}  # fmt: skip
    effects = _effects(session, event.event_id)
    for row in session.connection().execute(_RECORDS, {"event": event.event_id}):
        found[row.consumer] = Delivery(
            consumer=row.consumer,
            state=_state(row, is_paused=row.consumer in paused),
            attempts=row.attempts,
            first_at=row.first_at,
            handled_at=row.handled_at,
            error=row.error,
            effects=effects[row.consumer],
        )
    return [found[consumer] for consumer in sorted(found)]


def _state(row: Any, *, is_paused: bool) -> State:
    """The state of a record; what is back from its retry tier, or has not begun, waits for a paused consumer."""
    state: State = row.state if row.state in _SAME else "retrying" if row.error else "pending"
    is_back = state == "retrying" and row.retry_at is not None and row.retry_at <= datetime.now(UTC)
    return "paused" if is_paused and (is_back or state == "pending") else state


def _effects(session: Session, event_id: str) -> dict[str, list[EffectView]]:
    effects: dict[str, list[EffectView]] = defaultdict(list)
    for consumer, *values in session.connection().execute(_EFFECTS, {"event": event_id}):
        effects[consumer].append(EffectView(**dict(zip(EffectView.model_fields, values, strict=True))))
    return effects
