"""Events over HTTP: which are asked for, and what operators announce themselves."""

from datetime import timedelta
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.pages import Moment, Paging, Text
from infra.announcing.times import AvailableAt, Delay
from infra.announcing.views import STATES, EventState


class EventFilter(Paging):
    """Which events."""

    state: EventState = Field(
        default="published",
        description=f"{STATES} Those that are published are listed newest first, others next first.",
    )
    type: Text | None = Field(default=None, examples=["user.registered"])
    subject: Text | None = None
    since: Moment | None = Field(
        default=None,
        description="Published at this moment or after it; of those that wait: due then; of others: accepted then.",
    )
    until: Moment | None = Field(default=None, description="The same before this moment.")


class When(BaseModel, extra="forbid", frozen=True):
    """When an event is to be published."""

    available_at: AvailableAt | None = Field(
        default=None, description="Not before; one in the past means at once, and a year ahead is the most."
    )
    delay: Delay | None = None

    @field_validator("delay")
    @classmethod
    def _not_both(cls, delay: timedelta | None, info: ValidationInfo) -> timedelta | None:
        if delay is not None and info.data.get("available_at") is not None:
            raise PydanticCustomError("both", "Give available_at or delay, not both.")
        return delay


class NewEvent(When):
    """An event that an operator announces."""

    type: Text = Field(examples=["user.registered"])
    data: dict[str, Any] = Field(description="As the newest version of the type has it.")
    subject: Text | None = Field(
        default=None, description="Whom or what it is about, where the type does not say which of its data does."
    )
    why: Text | None = Field(default=None, description="For the audit.")


class Move(When):
    """To when an event that waits is moved."""

    why: Text | None = Field(default=None, description="For the audit.")

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if self.available_at is None and self.delay is None:
            raise PydanticCustomError("when", "Give available_at or delay.")
        return self
