"""Freezing: what an event's class promises is written down, and a promise that is written down is kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from events.envelope import Event
from events.registry import classes
from infra.schemas import frozen, sampling
from infra.schemas.comparing import changes
from infra.schemas.frozen import FOLDER
from infra.schemas.rendering import render

#: new: never frozen; changed: in a way that is allowed within a version; broken: in any other; without-samples.
Verdict = Literal["new", "same", "changed", "broken", "without-samples"]
_WITHOUT = frozenset({"new", "without-samples"})


@dataclass(frozen=True, slots=True)
class Judged:
    """One class beside what is frozen of its version."""

    event: type[Event]
    verdict: Verdict
    #: What differs, one line each.
    changes: tuple[str, ...]
    #: As the class has it now.
    schema: dict[str, Any]

    @property
    def name(self) -> str:
        """Type and version."""
        return f"{self.event.TYPE}/{self.event.VERSION}"

    @property
    def way_out(self) -> str:
        """What to do about one that is broken."""
        version = self.event.VERSION
        return (
            f"is frozen, and its class has changed: {'; '.join(self.changes)}. "
            f"Take that back, or make version {version + 1} and an upcaster from version {version}."
        )


def owned() -> list[type[Event]]:
    """The classes of the folder `events`, which the frozen schemas lie beside; all versions of them."""
    return [cls for cls in classes().values() if cls.__module__.partition(".")[0] == "events"]


def judge(chosen: Iterable[type[Event]], folder: Path = FOLDER) -> list[Judged]:
    """Each of these classes beside what is frozen of it."""
    return [_judged(cls, folder) for cls in chosen]


def freeze(judged: Sequence[Judged], folder: Path = FOLDER) -> None:
    """Write down what is new or has changed in a way that is allowed; of what is broken nothing.

    Raises:
        ConfigurationError: a file cannot be written, or no samples can be made; says what to do.
    """
    for each in judged:
        place = (each.event.TYPE, each.event.VERSION)
        # The samples first: a schema without any is only half of it.
        if each.verdict in _WITHOUT and not frozen.has_samples(*place, folder):
            frozen.keep_samples(*place, sampling.make(each.event, each.schema), folder)
        if each.verdict in {"new", "changed"}:
            frozen.keep_schema(*place, each.schema, folder)


def _judged(cls: type[Event], folder: Path) -> Judged:
    schema, before = render(cls), frozen.find(cls.TYPE, cls.VERSION, folder)
    if before is None:
        return Judged(cls, "new", (), schema)
    found = list(changes(before.schema, schema))
    broken = [each.text for each in found if not each.is_harmless]
    texts = tuple(broken or [each.text for each in found])
    verdict: Verdict = "same" if schema == before.schema else "changed"
    if broken:
        verdict = "broken"
    elif verdict == "same" and not before.samples:
        verdict = "without-samples"
    return Judged(cls, verdict, texts, schema)
