"""What a backfill would do, as operators see it: the same words over HTTP and on the command line."""

from datetime import datetime

from pydantic import BaseModel, Field


class BackfillView(BaseModel):
    """What a backfill would send."""

    would_send: int = Field(description="Events that the consumer has not settled.")
    already_settled: int = Field(description="Events of the range that it has settled: they are left out.")
    by_type: dict[str, int] = Field(description="Events of the range, settled or not.")
    first: datetime | None = Field(description="When the first event of the range was published.")
    last: datetime | None
    seconds: float | None = Field(description="How long the sending takes at the rate; null without a rate.")
