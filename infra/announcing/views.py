"""Events as operators see them, over HTTP and on the command line: where they are, and what became of them."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from infra.database import outbox
from infra.database.tables import Outbox
from infra.recovery.deliveries import Delivery

EventState = Literal["accepted", "waiting", "set-aside", "published"]
STATES = (
    "accepted: not yet confirmed by the broker; waiting: for `available_at`; "
    "set-aside: the broker refuses it again and again; published: the broker has it."
)


class EventHead(BaseModel):
    """What the envelope says."""

    id: str
    type: str
    source: str
    subject: str | None = None
    time: datetime
    correlation_id: str
    causation_id: str | None = None
    causation_types: list[str] = Field(
        default=[], description="Types of its causes, the first one first; `type*3` are three in a row."
    )
    replay_of: str | None = Field(default=None, description="The event that an operator replaced by this one.")
    traceparent: str | None = None


class EventItem(EventHead):
    """An event without its data, and where it is."""

    state: EventState = Field(description=STATES)
    accepted_at: datetime | None = Field(default=None, description="While it is not published.")
    available_at: datetime | None = Field(default=None, description="Not published before; null when at once.")
    attempts: int = Field(default=0, description="Failed tries to publish it.")
    error: str | None = Field(default=None, description="Why the last try failed.")
    position: int | None = Field(default=None, description="Its place in the log, once it is published.")
    published_at: datetime | None = None
    erased_at: datetime | None = Field(
        default=None, description="Since when nothing is left of it but that there was one, at this position."
    )


class EventStory(EventItem):
    """Everything about one event."""

    data: dict[str, Any]
    job: str | None = Field(default=None, description="The job that it asks for: `/jobs/{id}`.")
    deliveries: list[Delivery]


class Announced(BaseModel):
    """An event that an operator announced, or moved."""

    id: str
    type: str
    state: Literal["accepted", "waiting"] = Field(description="waiting: for `available_at`; accepted: at once.")
    available_at: datetime | None = Field(description="Not published before; null when at once.")


def announced(event_id: str, event_type: str, available_at: datetime | None) -> Announced:
    """The event, until when it waits being known."""
    state: Literal["accepted", "waiting"] = "accepted" if available_at is None else "waiting"
    return Announced(id=event_id, type=event_type, state=state, available_at=available_at)


def unpublished(row: Outbox) -> dict[str, Any]:
    """Where an event of the outbox is."""
    return {
        "state": "set-aside" if row.set_aside else "waiting" if row.available_at > datetime.now(UTC) else "accepted",
        "accepted_at": row.added_at,
        "available_at": row.available_at if row.available_at > outbox.AT_ONCE else None,
        "attempts": row.attempts,
        "error": row.error,
    }


def published(position: int, at: datetime) -> dict[str, Any]:
    """Where an event of the log is."""
    return {"state": "published", "position": position, "published_at": at}
