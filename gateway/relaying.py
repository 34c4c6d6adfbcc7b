"""What the routes know of the relay beside them: `infra.relaying.publishing.Publishing`, or a test's own."""

from typing import Protocol


class Relaying(Protocol):
    """Moves events from the outbox to the broker for as long as it runs."""

    @property
    def state(self) -> str:
        """`active`, `standby` or `waiting for the broker`."""

    @property
    def problem(self) -> str | None:
        """What keeps events from being published, in one line."""

    async def run(self) -> None:
        """Work until cancelled."""
