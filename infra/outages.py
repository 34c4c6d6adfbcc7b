"""When something was away: remembered by whoever met it, as nothing can be told while it lasts."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Outage:
    """A span in which something did not do its work."""

    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return (self.until - self.since).total_seconds()

    def __str__(self) -> str:
        return f"was failing from {self.since:%Y-%m-%d %H:%M:%S}Z until {self.until:%Y-%m-%d %H:%M:%S}Z"


class Outages:
    """The outages of one thing, as one thread meets them and any other asks."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        #: The last one that is over.
        self.last: Outage | None = None

    def begin(self) -> None:
        """It is away; whether it was before makes no difference."""
        self._since = self._since or datetime.now(UTC)

    def end(self) -> None:
        """It is there; whether it was before makes no difference."""
        if self._since is not None:
            self.last = Outage(self._since, datetime.now(UTC))
            self._since = None
