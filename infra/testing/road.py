"""What the kit asks of the road that a test's events take, in memory or over a real broker."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from events.envelope import Envelope
from infra.subscriptions import Subscription
from infra.testing.told import Settled, Told


class Road(Protocol):
    """From the outbox to the dead letters."""

    def cast(self, subscriptions: Iterable[Subscription]) -> None:
        """These take part from now on."""

    def log(self, envelope: Envelope) -> None:
        """Have an event published already, to nobody."""

    def deliver(
        self, subscription: Subscription, bodies: Sequence[bytes], *, attempt: int, redelivered: bool
    ) -> list[Told]:
        """Bring these to one consumer; what fails goes on from there."""

    def settle(self) -> Settled:
        """Everything that is due."""

    def keep(self) -> None:
        """Have written down what was given up."""

    def stop(self) -> None:
        """End what runs."""

    @property
    def next_due(self) -> datetime | None:
        """When something is due that waits now."""
