"""Dead letters over HTTP: which ones are asked for, and what is to be done with them."""

from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.pages import Moment, Paging, Text
from infra.database.dead_letters import Filter
from infra.recovery.replaying import Terms
from infra.recovery.views import EVERY_STATE, OPEN, LetterState, Reason

FORCE = "Run the handler again even where the event is handled already, and where it is held to be part of a loop."
_NAMES = ("consumer", "type", "reason", "exception", "subject", "fingerprint", "event_id", "since", "until")


class Which(BaseModel, extra="forbid", frozen=True):
    """The filters: each narrows the choice."""

    consumer: Text | None = Field(default=None, examples=["welcome-email"])
    type: Text | None = Field(default=None, examples=["user.registered"])
    reason: Reason | None = None
    exception: Text | None = Field(default=None, description="Class of the exception, with its module.")
    subject: Text | None = None
    fingerprint: Text | None = Field(default=None, description="See `/dead-letters/groups`.")
    event_id: Text | None = None
    since: Moment | None = Field(default=None, description="Failed last at this moment or after it.")
    until: Moment | None = Field(default=None, description="Failed last before this moment.")

    @model_validator(mode="after")
    def _time_goes_forward(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise PydanticCustomError("never", "until must be later than since.")
        return self

    def is_empty(self) -> bool:
        """Whether it leaves nothing out."""
        return all(getattr(self, name) is None for name in _NAMES)

    def filter(self, *states: str) -> Filter:
        """The same for the database, for letters in one of these states."""
        return Filter(**{name: getattr(self, name) for name in _NAMES}, states=states)


class LetterFilter(Which, Paging):
    """Which letters a list shows."""

    state: list[Literal[LetterState, "all"]] = Field(
        default=list(OPEN), description="May be given several times; without it those that are open.", max_length=10
    )

    def asked(self) -> Filter:
        """The same for the database."""
        return self.filter(*(EVERY_STATE if "all" in self.state else self.state))


class ReplayOne(BaseModel, extra="forbid", frozen=True):
    """How to replay one letter."""

    why: Text | None = None
    force: bool = Field(default=False, description=FORCE)


class ReplayMany(Which):
    """Which letters to replay, and how."""

    all: bool = Field(default=False, description="Every waiting letter: asked for when no filter is given.")
    dry_run: bool = Field(default=False, description="Only count; nothing changes.")
    rate: float | None = Field(default=None, ge=0.1, le=10_000, description="Letters per second, at most.")
    canary: int | None = Field(
        default=None, ge=1, le=10_000, description="Replay so many first, and go on only if they are handled."
    )
    stop_at_failure_ratio: float | None = Field(
        default=None, gt=0, le=1, description="Stop when this part of those that ended has failed."
    )
    force: bool = Field(default=False, description=FORCE)
    why: Text | None = None

    @model_validator(mode="after")
    def _says_how_many(self) -> Self:
        if self.all != self.is_empty():
            raise PydanticCustomError("which", 'Give a filter, or else "all": true for every waiting letter.')
        return self

    def terms(self) -> Terms:
        """How to replay them."""
        return Terms(
            rate=self.rate, canary=self.canary, stop_at_failure_ratio=self.stop_at_failure_ratio, force=self.force
        )


class Edit(BaseModel, extra="forbid", frozen=True):
    """What the event should have said."""

    data: dict[str, Any] = Field(description="All of the event's data, corrected.")
    why: Text


class Edited(BaseModel):
    """The event that took the letter's place."""

    event_id: str
