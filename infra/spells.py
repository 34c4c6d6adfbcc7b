"""How long one call from the broker has gone on: what it may still begin, and what has to wait for the next one."""

import time

#: The part of the time limit after which nothing new is begun: what is begun then would be interrupted.
_PART = 0.5


class Spell:
    """The time of one call, of whose limit half is for what follows the first piece of its work."""

    def __init__(self, limit: float) -> None:
        """Begin; the limit is in seconds, after which the call is interrupted."""
        self._until = time.monotonic() + limit * _PART

    @property
    def is_over(self) -> bool:
        """Whether nothing more should be begun."""
        return time.monotonic() >= self._until
