"""The clock of a test: it stands still, and moves when it is told to; all code of the process sees the same time."""

from datetime import UTC, datetime, timedelta

import time_machine

from infra.testing.told import KitError


class Clock:
    """Wall-clock time only: what measures how long something takes (`time.monotonic`) goes on as ever."""

    def __init__(self) -> None:
        self._travel = time_machine.travel(datetime.now(UTC), tick=False)
        self._traveller: time_machine.Traveller | None = None

    def start(self) -> None:
        """Stop the time."""
        self._traveller = self._travel.start()

    def stop(self) -> None:
        """Let it go on."""
        if self._traveller is not None:
            self._traveller = None
            self._travel.stop()

    @property
    def now(self) -> datetime:
        """What `datetime.now(UTC)` gives everywhere."""
        return datetime.now(UTC)

    def move_to(self, moment: datetime) -> None:
        """Be at this moment, which may be in the past; what is due by then happens with the next `settle`.

        Raises:
            KitError: the moment has no zone, or the time is real here.
        """
        if moment.utcoffset() is None:
            raise KitError("clock.move_to: give the moment a zone, as in datetime(2026, 11, 26, tzinfo=UTC).")
        if self._traveller is None:
            raise KitError("clock.move_to: time is real here.")
        self._traveller.move_to(moment.astimezone(UTC), tick=False)

    def move(self, **by: float) -> None:
        """Go on by some `hours`, `minutes`, `seconds` …, as `timedelta` takes them."""
        self.move_to(self.now + timedelta(**by))
