"""What every kind of trigger can be asked, answered from its due times in both directions."""

from abc import abstractmethod
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice, takewhile

from pydantic import BaseModel, ConfigDict

from infra.schedules.wall_clock import Moments


class Dues(BaseModel):
    """Due times: in UTC, one after the other, none twice, the same in every process and on every day they are asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def ascending(self, after: datetime) -> Iterator[datetime]:
        """All due times after a moment, the next one first; lazy."""

    @abstractmethod
    def descending(self, upto: datetime) -> Iterator[datetime]:
        """All due times at or before a moment, the latest first; lazy."""

    @property
    @abstractmethod
    def words(self) -> str:
        """When it is due, for people."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time after a moment; None when there is none any more."""
        return next(self.ascending(moment), None)

    def last_upto(self, moment: datetime) -> datetime | None:
        """The last due time at or before a moment; None when there was none yet."""
        return next(self.descending(moment), None)

    def between(self, after: datetime, upto: datetime) -> Iterator[datetime]:
        """The due times in (after, upto], ascending; lazy."""
        return takewhile(lambda due: due <= upto, self.ascending(after))

    def count(self, after: datetime, upto: datetime) -> int:
        """How many due times are in (after, upto]."""
        return sum(1 for _ in self.between(after, upto))

    def newest(self, after: datetime, upto: datetime, most: int) -> list[datetime]:
        """The last due times in (after, upto], `most` at most, ascending; those before them are not computed."""
        late = islice(takewhile(lambda due: due > after, self.descending(upto)), max(most, 0))
        return [*late][::-1]

    def period_at(self, moment: datetime) -> timedelta:
        """How far the due times around a moment are from one another; `timedelta.max` when one of them is missing."""
        last, following = self.last_upto(moment), self.next_after(moment)
        return following - last if last and following else timedelta.max


class LocalDues(Dues):
    """Due times at which the clocks of a zone show what they should."""

    @property
    @abstractmethod
    def moments(self) -> Moments:
        """When they show it."""

    def ascending(self, after: datetime) -> Iterator[datetime]:
        """All due times after a moment, the next one first; lazy."""
        return self.moments.ascending(after)

    def descending(self, upto: datetime) -> Iterator[datetime]:
        """All due times at or before a moment, the latest first; lazy."""
        return self.moments.descending(upto)
