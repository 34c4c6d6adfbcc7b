"""What works beside Dramatiq's worker, in the same process and for as long."""

from typing import Protocol

import dramatiq
from dramatiq.middleware import Middleware
from dramatiq.worker import Worker


class Companion(Protocol):
    """A thread, say, that does work of its own."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End, in a second or so."""


class Accompanied(Middleware):
    """Starts the companions when the worker's threads run, and stops them before the worker ends."""

    def __init__(self) -> None:
        self.companions: list[Companion] = []

    def after_worker_boot(self, _broker: dramatiq.Broker, _worker: Worker) -> None:
        for companion in self.companions:
            companion.start()

    def before_worker_shutdown(self, _broker: dramatiq.Broker, _worker: Worker) -> None:
        for companion in self.companions:
            companion.stop()
