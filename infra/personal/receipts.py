"""The receipt of an erasure: what was erased where, and what stays; it names nobody."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, Field

STAYS = (
    "Mails that were sent before are with those who received them.",
    "Messages of the broker stay in their queues until they are taken out, and are dropped then: no handler gets them.",
    "The event log keeps the place, the type and the time of each event, and its id.",
    "The event that tells others of the erasure holds the id; it goes with the old rows of the event log.",
    "Events about something else that name them, and that others are still to be given, go with the later look.",
    "Backups, and logs of programs elsewhere, are beyond this.",
)


class Receipt(BaseModel):
    """What was erased of one subject, and what stays and why."""

    subject: str = Field(description="SHA-256 of `erased ` and the id: whoever has the id can tell whose this is.")
    requested_by: str
    begun_at: datetime
    ended_at: datetime
    erased: Mapping[str, int] = Field(description="Rows by table; files of results among them as `files`.")
    nothing_was_left: bool = Field(description="It had been erased before.")
    looked_again_at: datetime = Field(description="When what was under way meanwhile is looked for once more.")
    stays: list[str]
