"""Events as the operator sees them: where they are, and what became of them at each consumer."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.pages import Moment, Paging, Text
from infra.recovery.deliveries import Delivery


class EventHead(BaseModel):
    """What the envelope says."""

    id: str
    type: str
    source: str
    subject: str | None = None
    time: datetime
    correlation_id: str
    causation_id: str | None = None
    replay_of: str | None = Field(default=None, description="The event that an operator replaced by this one.")
    traceparent: str | None = None


class EventItem(EventHead):
    """A published event in the log."""

    position: int
    published_at: datetime


class EventStory(EventHead):
    """Everything about one event."""

    state: Literal["accepted", "waiting", "set-aside", "published"] = Field(
        description="accepted: not yet confirmed by the broker; waiting: for `available_at`; "
        "set-aside: the broker refuses it again and again; published: the broker has it."
    )
    accepted_at: datetime | None = Field(default=None, description="While it is not published.")
    available_at: datetime | None = Field(default=None, description="Not published before; null when at once.")
    attempts: int = Field(default=0, description="Failed tries to publish it.")
    error: str | None = Field(default=None, description="Why the last try failed.")
    position: int | None = None
    published_at: datetime | None = None
    data: dict[str, Any]
    deliveries: list[Delivery]


class EventFilter(Paging):
    """Which events."""

    type: Text | None = Field(default=None, examples=["user.registered"])
    subject: Text | None = None
    since: Moment | None = Field(default=None, description="Published at this moment or after it.")
