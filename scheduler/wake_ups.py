"""What the engine's thread waits for: names of schedules that are due, the moment of its next look, its end."""

from queue import Empty, SimpleQueue


class WakeUps:
    """Filled from any thread, emptied by one."""

    def __init__(self) -> None:
        self._names: SimpleQueue[list[str] | None] = SimpleQueue()
        self.is_closed = False

    def put(self, names: list[str]) -> None:
        """These may have something due."""
        self._names.put(names)

    def close(self) -> None:
        """Let `take` return at once from now on."""
        self.is_closed = True
        self._names.put(None)

    def take(self, seconds: float) -> set[str]:
        """All that is there, as soon as there is something; nothing after so many seconds."""
        taken: set[str] = set()
        try:
            taken.update(self._names.get(timeout=seconds) or ())
            while True:
                taken.update(self._names.get_nowait() or ())
        except Empty:
            return taken
