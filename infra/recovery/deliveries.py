"""What became of an event at each consumer, from the recorded consumers, the inbox and the effects."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import BindParameter, bindparam, select
from sqlmodel import Session

from infra.database import consumers, pauses, waiting
from infra.database.recovery_tables import Pause
from infra.database.tables import Effect, EventLog, Inbox, Outbox, Subscription, table

_INBOX, _EFFECT = table(Inbox), table(Effect)
_OUTBOX, _LOG = table(Outbox), table(EventLog)
_THESE: BindParameter[str] = bindparam("events", expanding=True)
_WAITING = select(_OUTBOX.c.event_id, _OUTBOX.c.type).where(_OUTBOX.c.event_id.in_(_THESE))
_LOGGED = select(_LOG.c.event_id, _LOG.c.type, _LOG.c.position, _LOG.c.published_at, _LOG.c.erased_at).where(
    _LOG.c.event_id.in_(_THESE)
)
_RECORDS = select(_INBOX).where(_INBOX.c.event_id.in_(_THESE)).order_by(_INBOX.c.consumer)
_EFFECTS = select(_EFFECT).where(_EFFECT.c.event_id.in_(_THESE)).order_by(_EFFECT.c.ordinal)
#: Inbox states that the operator sees by the same name.
_SAME = frozenset({"retrying", "handled", "filtered", "erased", "dead"})

State = Literal["pending", "handled", "filtered", "erased", "retrying", "dead", "paused", "waiting"]

STATES = (
    "filtered: its consumer did not want it (`where=`), so nothing is left to do; "
    "erased: what it is about was erased before it was handled, and nobody gets it any more; "
    "paused: it waits for its consumer, which is paused, see `/consumers`; "
    "waiting: its consumer takes the events of one subject in their order, and an earlier one has not ended, see "
    "`/consumers/{name}/waiting`."
)


class EffectView(BaseModel, from_attributes=True):
    """Something outside the database that a handler intended, such as a mail."""

    kind: str
    state: Literal["intended", "sent", "unknown", "erased"]
    key: str = Field(description="What the other side knows it by; a mail's Message-ID.")
    sent_at: datetime | None
    error: str | None


class Delivery(BaseModel):
    """One event at one consumer."""

    consumer: str
    state: State = Field(description=STATES)
    attempts: int = 0
    first_at: datetime | None = None
    handled_at: datetime | None = None
    error: str | None = None
    effects: list[EffectView] = []


def of(session: Session, event_ids: Collection[str]) -> dict[str, list[Delivery]]:
    """One for each consumer that an event is for, and for each that has had it all the same (a replay, say).

    An event that nobody knows, such as one that was cleaned away, has none.
    """
    if not event_ids:
        return {}
    wanted = {"events": list(event_ids)}
    subscriptions, paused = consumers.everyone(session), pauses.paused(session)
    staying = [each for each in subscriptions if each.retiring_since is None]
    # In this order: an event that is on its way from the one to the other meanwhile is not missed.
    expected = _expected(staying, session.connection().execute(_WAITING, wanted))
    for row in session.connection().execute(_LOGGED, wanted):
        takers = consumers.takers(subscriptions, row.type)
        names = [each.consumer for each in takers if _is_for(each, row.position, row.published_at)]
        expected[row.event_id] = {name: _unbegun(name, paused, is_erased=row.erased_at is not None) for name in names}
    for event_id, delivery in _begun(session, wanted, paused):
        expected.setdefault(event_id, {})[delivery.consumer] = delivery
    for event_id, consumer in waiting.those_of(session, event_ids, [each.consumer for each in subscriptions]):
        _note_that_it_waits(expected.setdefault(event_id, {}).setdefault(consumer, _unbegun(consumer, paused)))
    return {event_id: [found[name] for name in sorted(found)] for event_id, found in expected.items()}


def _is_for(row: Subscription, position: int, published_at: datetime) -> bool:
    """Whether it was a consumer when the event was published."""
    return row.since < position and (row.retiring_since is None or published_at <= row.retiring_since)


def _expected(subscriptions: Sequence[Subscription], waiting: Any) -> dict[str, dict[str, Delivery]]:
    """Of events that are not published yet."""
    return {
        event_id: {
            each.consumer: Delivery(consumer=each.consumer, state="pending")
            for each in consumers.takers(subscriptions, event_type)
        }
        for event_id, event_type in waiting
    }


def _unbegun(consumer: str, paused: Mapping[str, Pause], *, is_erased: bool = False) -> Delivery:
    state: State = "erased" if is_erased else "paused" if consumer in paused else "pending"
    return Delivery(consumer=consumer, state=state)


def _note_that_it_waits(delivery: Delivery) -> None:
    if delivery.state in {"pending", "retrying"}:
        delivery.state = "waiting"


def _begun(session: Session, wanted: dict[str, Any], paused: Mapping[str, Pause]) -> list[tuple[str, Delivery]]:
    """Those that the inbox has."""
    effects: dict[tuple[str, str], list[EffectView]] = defaultdict(list)
    for row in session.connection().execute(_EFFECTS, wanted):
        effects[row.event_id, row.consumer].append(EffectView.model_validate(row))
    return [
        (
            row.event_id,
            Delivery(
                consumer=row.consumer,
                state=_state(row, is_paused=row.consumer in paused),
                attempts=row.attempts,
                first_at=row.first_at,
                handled_at=row.handled_at,
                error=row.error,
                effects=effects[row.event_id, row.consumer],
            ),
        )
        for row in session.connection().execute(_RECORDS, wanted)
    ]


def _state(row: Any, *, is_paused: bool) -> State:
    """The state of a record; what is back from its retry tier, or has not begun, waits for a paused consumer."""
    state: State = row.state if row.state in _SAME else "retrying" if row.error else "pending"
    is_back = state == "retrying" and row.retry_at is not None and row.retry_at <= datetime.now(UTC)
    return "paused" if is_paused and (is_back or state == "pending") else state
