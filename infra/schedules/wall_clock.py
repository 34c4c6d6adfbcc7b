"""From the times that a wall clock shows to moments: what becomes of them when the clocks of a zone are changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple, Protocol

_SECOND = timedelta(seconds=1)
#: No zone has changed its clocks twice within so short a time, and no change was greater.
_DAY = timedelta(days=1)


class Walls(Protocol):
    """Times that a wall clock shows (naive, whole seconds), in order, each once."""

    def after(self, wall: datetime) -> Iterator[datetime]:
        """Those after this one, ascending; lazy."""

    def before(self, wall: datetime) -> Iterator[datetime]:
        """Those before this one, descending; lazy."""


class Change(NamedTuple):
    """A moment at which the clocks of a zone are changed."""

    at: datetime
    old_offset: timedelta
    new_offset: timedelta

    @property
    def old(self) -> datetime:
        """What the clocks would show at this moment, if nobody changed them."""
        return (self.at + self.old_offset).replace(tzinfo=None)

    @property
    def new(self) -> datetime:
        """What they show instead."""
        return (self.at + self.new_offset).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Moments:
    """The moments at which the clocks of a zone show certain times.

    Clocks that go forward leave times out, clocks that go back show some twice. As Debian's cron has it, there are two
    ways to see this. `once`: a time that is left out comes at the first moment after it (at most once for all that are
    left out), one that is shown twice comes the first time only; a day that a zone left out altogether (Apia, 30
    December 2011) is no day. Otherwise: each moment counts at which the clocks show such a time, so that what is due
    each half hour stays due each half hour.
    """

    walls: Walls
    zone: tzinfo
    once: bool

    def ascending(self, after: datetime) -> Iterator[datetime]:
        """All moments after this one, in UTC; lazy."""
        try:
            yield from self._ascending(after.astimezone(UTC))
        except OverflowError:  # the end of the calendar
            return

    def descending(self, upto: datetime) -> Iterator[datetime]:
        """All moments at or before this one, in UTC, the latest first; lazy."""
        try:
            yield from self._descending(upto.astimezone(UTC).replace(microsecond=0))
        except OverflowError:  # the beginning of the calendar
            return

    def _ascending(self, at: datetime) -> Iterator[datetime]:
        offset = _offset(self.zone, at)
        walls = self.walls.after(self._shown_before(at))
        while wall := next(walls, None):
            due = (wall - offset).replace(tzinfo=UTC)
            change = _first_change(self.zone, at, due)
            if change is None:
                yield due
                at = due
                continue
            at, offset = change.at, change.new_offset
            if self._makes_up_for(wall, change):
                yield at
                walls = self.walls.after(change.new)
            else:
                resume = max(change.old, change.new) if self.once else change.new
                walls = self.walls.after(resume - _SECOND)

    def _descending(self, at: datetime) -> Iterator[datetime]:
        offset = _offset(self.zone, at)
        walls = self.walls.before((at + offset + _SECOND).replace(tzinfo=None))
        last = None
        while wall := next(walls, None):
            due = (wall - offset).replace(tzinfo=UTC)
            change = _last_change(self.zone, due, at) or self._repeated(due)
            if change is None:
                yield due
                at = last = due
                continue
            if self._makes_up_for(wall, change) and last != change.at:
                yield change.at
            at, offset = change.at - _SECOND, change.old_offset
            walls = self.walls.before(change.old)

    def _shown_before(self, at: datetime) -> datetime:
        """The latest time that the clocks have shown up to a moment, as far as it counts."""
        if change := self._repeated(at):
            return change.old - _SECOND
        return (at + _offset(self.zone, at)).replace(tzinfo=None)

    def _repeated(self, at: datetime) -> Change | None:
        """The change because of which the clocks show a time again that has counted before."""
        if self.once and at.astimezone(self.zone).fold:
            return _last_change(self.zone, at - 2 * _DAY, at)
        return None

    def _makes_up_for(self, wall: datetime, change: Change) -> bool:
        """Whether a time that is left out comes at the moment of the change."""
        return self.once and change.old <= wall < change.new < change.old + _DAY


def _offset(zone: tzinfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _first_change(zone: tzinfo, after: datetime, upto: datetime) -> Change | None:
    """The first change of the clocks in (after, upto]."""
    offset = _offset(zone, after)
    while after < upto:
        later = min(after + _DAY, upto)
        if _offset(zone, later) != offset:
            return _change(zone, after, later)
        after = later
    return None


def _last_change(zone: tzinfo, after: datetime, upto: datetime) -> Change | None:
    """The last change of the clocks in (after, upto]."""
    offset = _offset(zone, upto)
    while after < upto:
        earlier = max(upto - _DAY, after)
        if _offset(zone, earlier) != offset:
            return _change(zone, earlier, upto)
        upto = earlier
    return None


def _change(zone: tzinfo, after: datetime, upto: datetime) -> Change:
    """The one change in (after, upto], to the second."""
    old = _offset(zone, after)
    after, upto = after.replace(microsecond=0), upto.replace(microsecond=0)
    while upto - after > _SECOND:
        middle = after + (upto - after) // 2 // _SECOND * _SECOND
        after, upto = (middle, upto) if _offset(zone, middle) == old else (after, middle)
    return Change(upto, old, _offset(zone, upto))
