"""The cleaning: rows that nobody needs any more are removed."""

from pydantic import AwareDatetime, Field

from events.envelope import Event


class CleaningRequested(Event, type="cleaning.requested", version=1, repeats=500):
    """It is time to remove what is older than it has to be kept."""

    due_at: AwareDatetime = Field(
        description="When it was time; what one pass leaves to the next has the time of the first."
    )


class CleaningEnded(Event, type="cleaning.ended", version=1):
    """A pass of the cleaning is over."""

    removed: dict[str, int] = Field(
        description="Rows by table; tables without any are left out.", examples=[{"inbox": 1200}]
    )
    seconds: float = Field(examples=[0.4])
    is_complete: bool = Field(description="Whether all that may go has gone; if not, another pass follows.")
    waits_for: list[str] = Field(
        description="Consumers because of which events stay in the log that are old enough to go.", examples=[[]]
    )
