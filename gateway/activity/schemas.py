"""The activity log as clients see it."""

from datetime import datetime

from pydantic import BaseModel, Field

from gateway.pages import Moment, Paging, Text


class ActivityItem(BaseModel):
    """One line: an event that the consumer `activity-log` has handled."""

    event_id: str
    type: str
    subject: str | None
    time: datetime


class ActivityFilter(Paging):
    """Which lines."""

    type: Text | None = Field(default=None, examples=["user.registered"])
    subject: Text | None = None
    since: Moment | None = Field(default=None, description="Of events that happened at this moment or after it.")
    until: Moment | None = Field(default=None, description="Of events that happened before this moment.")
