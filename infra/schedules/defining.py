"""A schedule as an operator describes it: checked before it is written down, so that no scheduler stumbles over it."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from events.attributes import LONGEST_TEXT, is_text
from events.envelope import Event, announce, encode
from events.errors import TooLarge
from infra.database.schedules import Definition
from infra.fitting import DoesNotFit, event_of, too_large
from infra.jobs import timed
from infra.schedules.triggers import Trigger
from infra.schedules.views import Missed, Overlap
from infra.subscriptions import is_name

#: `source` of every timed event.
_SOURCE = "/scheduler"


def _named(name: str) -> str:
    if not is_name(name):
        raise PydanticCustomError("name", "use words of a-z and 0-9 joined by '-', at most 100 characters in all")
    return name


def _described(text: str) -> str:
    if text and not is_text(text):
        raise PydanticCustomError(
            "description", "at most {most} characters, and no control character", {"most": LONGEST_TEXT}
        )
    return text


class NewSchedule(BaseModel, extra="forbid", frozen=True):
    """A schedule that announces the same event at each due time."""

    name: Annotated[str, AfterValidator(_named)] = Field(
        examples=["stock-taking"],
        max_length=100,
        description="Durable: the ids of its events are made of it. Words of a-z and 0-9 joined by '-'.",
    )
    description: Annotated[str, AfterValidator(_described)] = Field(default="", max_length=LONGEST_TEXT)
    trigger: Trigger = Field(examples=[{"daily": "07:00", "zone": "Europe/Berlin"}])
    type: str = Field(
        examples=["heartbeat.ticked"],
        max_length=255,
        description="Type of the event; `job.requested.<kind>` has a job done, whose parameters are the data.",
    )
    data: dict[str, Any] = Field(default={}, description="The event's data, the same at each due time.")
    missed: Missed = Field(default="latest", description="What becomes of due times that nobody was there for.")
    missed_limit: int = Field(default=100, ge=1, le=10_000, description="With `all`: the most of one gap, the newest.")
    overlap: Overlap = Field(
        default="allow", description="skip: leave a fire out while a consumer has not ended the one before."
    )

    def definition(self) -> Definition:
        """The same for the database.

        Raises:
            DoesNotFit: there is no such type, or the data are not what its newest version holds.
        """
        try:
            encode(announce(self._event(), source=_SOURCE))
        except TooLarge as error:
            raise too_large(error) from None
        return Definition(**self.model_dump(mode="json", include=set(NewSchedule.model_fields)))

    def _event(self) -> Event:
        kind = timed.kind_of(self.type)
        if kind is None:
            return event_of(self.type, self.data)
        if not is_name(kind):
            raise DoesNotFit([(("type",), "unknown_kind", "No kind of jobs has this name.")])
        return timed.request(self.name, kind, self.data, datetime.now(UTC))
