"""The schema of timed events: what is on the timetable, what was missed of it, and the health of what Tidings needs."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index
from sqlmodel import Field, SQLModel

from infra.database.tables import BIG, UtcDateTime


class Schedule(SQLModel, table=True):
    """A line of the timetable: those made in code are written down by the scheduler, the others by operators."""

    __tablename__ = "schedule"
    #: Durable: it is part of the ids of the events.
    name: str = Field(primary_key=True)
    #: `code` or `operator`.
    origin: str
    description: str
    #: When it is due, as `infra.schedules.triggers` reads it.
    trigger: dict[str, Any] = Field(sa_type=JSON)
    #: Type of the event that it announces.
    type: str
    #: The event's data; None when code makes them from the due time.
    data: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    #: What becomes of due times that nobody was there for: `skip`, `latest` or `all`.
    missed: str
    #: With `all`: the most due times of one gap that are announced, the newest.
    missed_limit: int
    #: While a consumer has not ended the tick before: `allow` or `skip`.
    overlap: str
    #: Due times after this moment count: when it was made, or resumed last.
    counts_from: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    paused_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    paused_by: str | None = None
    paused_why: str | None = None
    #: Since when the code does not have it any more.
    retired_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: Since when it has not fired although it should have, more than twice in a row.
    silent_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: Raised by each change, and begun at the clock's milliseconds: the sum over all rows tells replicas of changes.
    version: int = Field(sa_type=BIG)


class ScheduleGap(SQLModel, table=True):
    """Due times of one schedule, one after the other, that nobody was there for, or during which it was paused."""

    __tablename__ = "schedule_gap"
    __table_args__ = (Index("schedule_gap_schedule", "schedule", "id"),)
    #: UUIDv7.
    id: str = Field(primary_key=True)
    schedule: str
    #: `missed` or `paused`.
    reason: str
    #: The first and the last due time in it.
    first_due_at: datetime = Field(sa_type=UtcDateTime)
    last_due_at: datetime = Field(sa_type=UtcDateTime)
    #: How many due times it holds, and how many of them were announced after all.
    due: int = Field(sa_type=BIG)
    fired: int = Field(sa_type=BIG)
    #: The policy that decided it: `skip`, `latest` or `all`.
    policy: str
    found_at: datetime = Field(sa_type=UtcDateTime)


class Health(SQLModel, table=True):
    """Something that Tidings needs, as it was when it was looked at last."""

    __tablename__ = "health"
    component: str = Field(primary_key=True)
    #: `ok` or `failing`.
    state: str
    #: Since when it is in this state.
    since: datetime = Field(sa_type=UtcDateTime)
    checked_at: datetime = Field(sa_type=UtcDateTime)
    #: What was found, in one line.
    detail: str
    #: Since when it is found in the other state, which is not believed at once.
    doubted_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
