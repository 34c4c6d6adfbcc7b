"""What the relay holds back for a while after it failed, so that the rest goes on."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from infra.database.outbox import Due
from infra.errors import MessageRefused, TidingsError

#: Seconds before the second try; each further one waits twice as long …
FIRST = 0.5
#: … up to this many seconds.
LONGEST = 30.0


@dataclass(slots=True)
class Hold:
    """Why something waits, for how long, and until when by the monotonic clock."""

    why: str
    pause: float
    until: float


class Holds:
    """Event types that no queue takes now, and rows that are at fault themselves.

    Where an event goes depends on its type alone, so one failure speaks for all of the type; when the pause is over,
    one event of the type is tried before the others follow. The order within a subject holds: behind an event that
    waits, the later ones of its subject wait too.
    """

    def __init__(self, *, first: float = FIRST, longest: float = LONGEST, clock: Callable[[], float] = time.monotonic):
        self._first = first
        self._longest = longest
        self._clock = clock
        self._types: dict[str, Hold] = {}
        self._rows: dict[int, Hold] = {}

    def like(self) -> "Holds":
        """An empty one with the same pauses."""
        return Holds(first=self._first, longest=self._longest, clock=self._clock)

    @property
    def problem(self) -> str | None:
        """What a person should know, in one line."""
        holds = [*self._types.values(), *self._rows.values()]
        more = f" And {len(holds) - 1} more." if len(holds) > 1 else ""
        return f"{holds[0].why}{more}" if holds else None

    def waiting(self) -> tuple[list[str], list[int]]:
        """The types and the rows that must not be published yet."""
        now = self._clock()
        return (
            [name for name, hold in self._types.items() if hold.until > now],
            [sequence for sequence, hold in self._rows.items() if hold.until > now],
        )

    def seconds(self) -> float | None:
        """Time until the next one may be tried again; None when nothing waits."""
        untils = [hold.until for hold in (*self._types.values(), *self._rows.values())]
        return max(0.0, min(untils) - self._clock()) if untils else None

    def choose(self, rows: Sequence[Due]) -> tuple[list[Due], list[Due]]:
        """Of what is due: rows to publish together, and rows to publish alone, for they may cost the channel."""
        together: list[Due] = []
        alone: list[Due] = []
        tried: set[str] = set()
        behind: set[str | None] = set()
        for row in rows:
            if row.type in tried or row.subject in behind:
                behind.add(row.subject)
            elif row.sequence in self._rows:
                alone.append(row)
                behind.add(row.subject)
            else:
                together.append(row)
            if row.type in self._types:
                tried.add(row.type)
            behind.discard(None)
        return together, alone

    def failed(self, row: Due, error: TidingsError) -> bool:
        """Hold the row back if the fault is its own, else its whole type; False if it waits already: no news."""
        held: dict[Any, Hold] = self._rows if isinstance(error, MessageRefused) else self._types
        key = row.sequence if isinstance(error, MessageRefused) else row.type
        before, now = held.get(key), self._clock()
        if before is not None and before.until > now:  # another one of the same batch
            return False
        pause = self._first if before is None else min(before.pause * 2, self._longest)
        held[key] = Hold(str(error), pause, now + pause)
        return True

    def tidy(self, rows: Sequence[Due], left_out: tuple[Collection[str], Collection[int]]) -> None:
        """Forget what left the outbox by another way: these rows are all that is due but for what was left out."""
        types = {row.type for row in rows}.union(left_out[0])
        sequences = {row.sequence for row in rows}.union(left_out[1])
        self._types = {name: hold for name, hold in self._types.items() if name in types}
        self._rows = {row: hold for row, hold in self._rows.items() if row in sequences}

    def published(self, row: Due) -> None:
        """The row went through, so its type does."""
        self._types.pop(row.type, None)
        self._rows.pop(row.sequence, None)

    def forget(self, sequence: int) -> None:
        """The row is set aside, or gone."""
        self._rows.pop(sequence, None)
