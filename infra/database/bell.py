"""What wakes the relay when another process adds events; a ring that is lost costs the time to its next look."""

from collections.abc import Callable
from typing import Protocol


class Bell(Protocol):
    """One for each kind of database: `datagrams` for SQLite, `notifications` for PostgreSQL."""

    def ring(self) -> None:
        """Wake the relay that listens, after a commit that added events; does nothing if it is in this process."""

    async def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` once it can hear, for what was added before, and then at each ring, until cancelled.

        It may call `wake` without need."""
