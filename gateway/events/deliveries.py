"""What became of an event at each consumer, from the recorded consumers, the inbox and the effects."""

from collections import defaultdict

from sqlalchemy import bindparam, select
from sqlmodel import Session

from gateway.events.schemas import Delivery, EffectView
from infra.database import consumers
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


def expected(session: Session, event_type: str) -> list[Delivery]:
    """The deliveries of an event that is not published yet."""
    takers = consumers.takers(consumers.declared(session), event_type)
    return [Delivery(consumer=taker.consumer, state="pending") for taker in takers]


def of(session: Session, event: EventLog) -> list[Delivery]:
    """One for each consumer that the event is for, and for each that has had it all the same (a replay, say)."""
    takers = consumers.takers(consumers.declared(session), event.type)
    found = {taker.consumer: Delivery(consumer=taker.consumer, state="pending")
             for taker in takers if taker.since < event.position}  # fmt: skip
    effects = _effects(session, event.event_id)
    for row in session.connection().execute(_RECORDS, {"event": event.event_id}):
        found[row.consumer] = Delivery(
            consumer=row.consumer,
            state=row.state if row.state in _SAME else "retrying" if row.error else "pending",
            attempts=row.attempts,
            first_at=row.first_at,
            handled_at=row.handled_at,
            error=row.error,
            effects=effects[row.consumer],
        )
    return [found[consumer] for consumer in sorted(found)]


def _effects(session: Session, event_id: str) -> dict[str, list[EffectView]]:
    effects: dict[str, list[EffectView]] = defaultdict(list)
    for consumer, *values in session.connection().execute(_EFFECTS, {"event": event_id}):
        effects[consumer].append(EffectView(**dict(zip(EffectView.model_fields, values, strict=True))))
    return effects
