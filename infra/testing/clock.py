"""The clock of a test: it stands still, and moves when it is told to; with a real broker it is the wall's."""

import math
import time
from datetime import UTC, datetime, timedelta

import time_machine

from infra.testing.told import KitError

#: Seconds that a test waits for a real clock to come to a moment.
LONGEST = 60.0


class Clock:
    """All code of the process sees it; what measures how long something takes (`time.monotonic`) goes on as ever."""

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
        self.check(moment)
        self._go_to(moment.astimezone(UTC))

    def move(self, **by: float) -> None:
        """Go on by some `hours`, `minutes`, `seconds` …, as `timedelta` takes them."""
        self.move_to(self.now + timedelta(**by))

    def check(self, moment: datetime) -> None:
        """Find out whether this clock can come to a moment: one that stands still comes to any.

        Raises:
            KitError: it cannot.
        """

    def _go_to(self, moment: datetime) -> None:
        if self._traveller is not None:
            self._traveller.move_to(moment, tick=False)


class RealClock(Clock):
    """Is moved by waiting, and not for long."""

    def start(self) -> None:
        """It goes."""

    def check(self, moment: datetime) -> None:
        """Only to one that is near.

        Raises:
            KitError: it is not.
        """
        seconds = (moment - self.now).total_seconds()
        if seconds > LONGEST:
            raise KitError(
                f"Time is real here, and a test waits {LONGEST:g} s at most, not {math.ceil(seconds):,} s: "
                "run it without a broker, or have it wait for less."
            )
        if seconds < -LONGEST:
            raise KitError("Time is real here, and does not go back: run the test without a broker.")

    def _go_to(self, moment: datetime) -> None:
        time.sleep(max(0.0, (moment - self.now).total_seconds()))
