"""What a shadow run shows: of each event what would happen, and all of it in figures."""

from collections import Counter
from typing import Any, Literal

from pydantic import BaseModel, Field

Arguments = dict[str, Any] | list[str]


class EffectView(BaseModel):
    """An effect that would happen."""

    kind: str
    #: Names only, or with their values, if those are asked for: they are personal data.
    arguments: Arguments


class DifferenceView(BaseModel):
    """An effect that would not be as it was."""

    how: Literal["missing", "added", "changed"]
    kind: str
    #: Names only, or each with what it was and what it would be.
    arguments: Arguments


class EventView(BaseModel):
    """What would happen with one event."""

    position: int
    event_id: str
    type: str
    #: `handled`, `filtered`, `retrying` or `dead` (it would fail).
    state: str
    error: str | None = None
    #: What became of it when it came, if it did.
    recorded: str | None = None
    #: Against its record; None: there is none to compare with.
    differences: list[DifferenceView] | None = None
    effects: list[EffectView] = []
    publishes: list[str] = []
    #: Rows of its own that the handler would write: `insert users` -> how many.
    rows: dict[str, int] = {}

    @property
    def is_as_recorded(self) -> bool:
        """There is a record, and it would be the same again."""
        return self.differences == [] and self.state == self.recorded


class Summary(BaseModel):
    """A whole run."""

    consumer: str
    events: int = 0
    as_recorded: int = 0
    differ: int = 0
    #: Events without a record to compare with.
    new: int = 0
    states: Counter[str] = Field(default_factory=Counter)
    #: `missing mail`, `changed mail: values.name` … -> events.
    differences: Counter[str] = Field(default_factory=Counter)
    #: Error in short -> events.
    errors: Counter[str] = Field(default_factory=Counter)
    #: Milliseconds that the database was held for at most.
    longest_ms: float = 0.0
    #: Whether it ended before the last event, since somebody stopped it.
    stopped: bool = False

    def add(self, seen: EventView) -> None:
        """Count one more."""
        self.events += 1
        self.states[seen.state] += 1
        if seen.error is not None:
            self.errors[seen.error.partition(":")[0]] += 1
        if seen.differences is None:
            self.new += 1
        elif seen.is_as_recorded:
            self.as_recorded += 1
        else:
            self.differ += 1
            self.differences.update(set(_named(seen)))


class Run(BaseModel):
    """For programs: the events that are not as recorded, and the figures."""

    items: list[EventView]
    summary: Summary


def _named(seen: EventView) -> list[str]:
    if seen.state != seen.recorded:
        return [f"{seen.recorded} before, {seen.state} now"]
    return [f"{each.how} {each.kind}{_changed(each)}" for each in seen.differences or ()]


def _changed(difference: DifferenceView) -> str:
    return f": {', '.join(difference.arguments)}" if difference.how == "changed" else ""
