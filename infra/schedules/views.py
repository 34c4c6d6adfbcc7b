"""Schedules, their runs and their gaps as operators see them: the same words over HTTP and on the command line."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError

from infra import zones
from infra.database.schedule_runs import FIRED
from infra.database.schedule_tables import Schedule
from infra.database.tables import ScheduleRun
from infra.recovery.deliveries import Delivery
from infra.schedules import triggers
from infra.schedules.triggers import Trigger

ScheduleState = Literal["running", "silent", "paused", "retired"]
Origin = Literal["code", "operator"]
Missed = Literal["skip", "latest", "all"]
Overlap = Literal["allow", "skip"]
RunState = Literal["fired", "ordered", "skipped", "cancelled"]
RunKind = Literal["due", "missed", "manual", "backfill"]
#: Fires to come that are shown.
NEXT = 5


class FireView(BaseModel):
    """A fire to come."""

    at: datetime = Field(description="In UTC.")
    local: str = Field(description="The same in the schedule's zone; in UTC when it has none.")


class SchedulePauseView(BaseModel):
    """Why it does not fire."""

    since: datetime
    by: str
    why: str


class RunView(BaseModel):
    """One due time, and what became of it."""

    due_at: datetime = Field(description="Of a manual run: when it was asked for.")
    state: RunState = Field(
        description="ordered: fired within a second; skipped: left out, the note says why; cancelled: an order."
    )
    kind: RunKind = Field(description="missed: fired after a gap; manual and backfill: an operator asked for it.")
    fired_at: datetime = Field(description="When it came into its state.")
    lateness: float | None = Field(description="Seconds from due_at to fired_at; null unless fired, or of a backfill.")
    event_id: str = Field(description="See `/events/{id}`, once it is fired.")
    operation_id: str | None = Field(description="Of a backfill: see `/operations/{id}`.")
    note: str | None = Field(description="Why it was skipped or cancelled; who asked for it, and why.")

    @classmethod
    def of(cls, row: ScheduleRun, **more: Any) -> Self:
        """The run of this row."""
        late = row.state == FIRED and row.operation_id is None
        lateness = round((row.fired_at - row.due_at).total_seconds(), 6) if late else None
        return cls(**row.model_dump(exclude={"schedule"}), lateness=lateness, **more)


class LastRunView(RunView):
    """The last due time that was fired or skipped."""

    consumers: list[Delivery] = Field(description="What became of its event, for each consumer.")


class GapView(BaseModel, from_attributes=True):
    """Due times, one after the other, that nobody was there for, or during which the schedule was paused."""

    id: str
    reason: Literal["missed", "paused"]
    first_due_at: datetime
    last_due_at: datetime
    due: int = Field(description="How many due times it holds.")
    fired: int = Field(description="How many of them were fired after all.")
    policy: Missed
    found_at: datetime


class ScheduleView(BaseModel):
    """One schedule: when it fires, what it announces, and how it fares."""

    name: str
    origin: Origin = Field(description="code: it can be paused, and not removed.")
    description: str
    state: ScheduleState = Field(
        description="silent: it has not fired although it should have; retired: the code does not have it any more."
    )
    type: str = Field(description="Type of the event that it announces.")
    data: dict[str, Any] | None = Field(description="The event's data; null when code makes them from the due time.")
    trigger: dict[str, Any]
    when: str = Field(description="The trigger in words.", examples=["at 07:00, Europe/Berlin"])
    zone: str | None
    missed: Missed = Field(description="What becomes of due times that nobody was there for.")
    missed_limit: int = Field(description="With `all`: the most due times of one gap that are fired, the newest.")
    overlap: Overlap = Field(description="skip: a fire is left out while a consumer has not ended the one before.")
    next: list[FireView] = Field(description="Due times to come; while it is paused they pass unless it is resumed.")
    pause: SchedulePauseView | None = Field(description="Null while it runs.")
    silent_since: datetime | None
    retired_at: datetime | None
    last_run: LastRunView | None
    missed_count: int = Field(description="Due times that were missed and not fired after all; see `gaps`.")
    counts_from: datetime = Field(description="Due times after this moment count: when it was made, or resumed last.")
    created_at: datetime


class BackfillView(BaseModel):
    """What a backfill would do."""

    would_fire: int
    already_there: int = Field(description="Due times in the range that are fired or ordered, and stay as they are.")
    first: datetime | None = Field(description="The first due time that would be fired.")
    last: datetime | None = Field(description="The last one.")


def view(row: Schedule, last_run: LastRunView | None, missed_count: int) -> ScheduleView:
    """The schedule of this row."""
    same = {"name", "origin", "description", "type", "data", "trigger", "missed", "missed_limit", "overlap",
            "silent_since", "retired_at", "counts_from", "created_at"}  # fmt: skip
    return ScheduleView(
        **row.model_dump(include=same),
        **_when(row),
        state=state(row),
        pause=_pause(row),
        last_run=last_run,
        missed_count=missed_count,
    )


def state(row: Schedule) -> ScheduleState:
    """The state that matters most, as `infra.database.schedules` chooses by it."""
    if row.retired_at is not None:
        return "retired"
    if row.paused_at is not None:
        return "paused"
    return "running" if row.silent_since is None else "silent"


def fires(trigger: Trigger, after: datetime, most: int) -> list[FireView]:
    """The next fires after a moment."""
    place = zones.find(zone_of(trigger) or "UTC")
    dues = islice(trigger.ascending(after), most)
    return [FireView(at=due, local=due.astimezone(place).isoformat(timespec="seconds")) for due in dues]


def zone_of(trigger: Trigger) -> str | None:
    """Name of the time zone that it counts in."""
    return getattr(trigger, "zone", None)


def _when(row: Schedule) -> dict[str, Any]:
    try:
        trigger = triggers.read(row.trigger)
    except ValidationError:  # a newer program wrote it
        return {"when": "in a way that this version cannot read", "zone": None, "next": []}
    coming: Sequence[FireView] = () if row.retired_at else fires(trigger, datetime.now(UTC), NEXT)
    return {"when": trigger.words, "zone": zone_of(trigger), "next": coming}


def _pause(row: Schedule) -> SchedulePauseView | None:
    if row.paused_at is None:
        return None
    return SchedulePauseView(since=row.paused_at, by=row.paused_by or "", why=row.paused_why or "")
