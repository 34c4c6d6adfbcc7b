"""Documents are made anew only when the facts have changed: their addresses are public, and 20 ms a request is much."""

from collections.abc import Callable

from infra.documents.facts import Facts


class Latest:
    """The last document that was made, and what it was made of; several threads may ask at once."""

    def __init__(self, make: Callable[[Facts], bytes]) -> None:
        self._make = make
        self._last: tuple[Facts, bytes] | None = None

    def of(self, facts: Facts) -> bytes:
        """The document of these facts."""
        last = self._last
        if last is None or last[0] != facts:
            last = self._last = facts, self._make(facts)
        return last[1]
