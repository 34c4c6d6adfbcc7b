"""The cleaning: rows that nobody needs any more are removed."""

from pydantic import AwareDatetime

from events.envelope import Event


class CleaningRequested(Event, type="cleaning.requested", version=1):
    """It is time to remove what is older than it has to be kept."""

    #: When it was time; what one pass leaves to the next has the time of the first.
    due_at: AwareDatetime


class CleaningEnded(Event, type="cleaning.ended", version=1):
    """A pass of the cleaning is over."""

    #: Rows by table; tables without any are left out.
    removed: dict[str, int]
    seconds: float
    #: Whether all that may go has gone; if not, another pass follows.
    is_complete: bool
    #: Consumers because of which events stay in the log that are old enough to go.
    waits_for: list[str]
