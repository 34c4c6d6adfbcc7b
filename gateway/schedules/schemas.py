"""Schedules over HTTP: which ones, and which of their runs, are asked for, and what is to be done with them."""

from typing import Self

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.pages import Moment, Paging, Text
from infra.schedules.defining import NewSchedule
from infra.schedules.views import Origin, RunKind, RunState, ScheduleState


class ScheduleFilter(Paging):
    """Which schedules."""

    state: ScheduleState | None = None
    origin: Origin | None = None
    type: Text | None = Field(default=None, examples=["day.ended"], description="Those that announce this type.")


class RunFilter(Paging):
    """Which runs of a schedule."""

    state: RunState | None = None
    kind: RunKind | None = None
    since: Moment | None = Field(default=None, description="Due at this moment or after it.")
    until: Moment | None = Field(default=None, description="Due before this moment.")

    @model_validator(mode="after")
    def _time_goes_forward(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise PydanticCustomError("never", "until must be later than since.")
        return self


class Change(BaseModel, extra="forbid", frozen=True):
    """Whether it is to be paused, and why."""

    paused: bool
    why: Text


class Why(BaseModel, extra="forbid", frozen=True):
    """The reason, for the audit and for the note of the run."""

    why: Text


class Backfill(BaseModel, extra="forbid", frozen=True):
    """Which due times are to be fired after all."""

    since: Moment = Field(description="From this moment on.")
    until: Moment | None = Field(default=None, description="Before this moment, which is not in the future; else now.")
    dry_run: bool = Field(default=False, description="Only count; nothing changes.")
    why: Text | None = Field(default=None, description="Asked for unless `dry_run`.", validate_default=True)

    @field_validator("why")
    @classmethod
    def _is_given(cls, why: str | None, info: ValidationInfo) -> str | None:
        if why is None and not info.data.get("dry_run"):
            raise PydanticCustomError("missing", "This is required.")
        return why


class Addition(NewSchedule):
    """A schedule that is added, and why."""

    why: Text | None = None
