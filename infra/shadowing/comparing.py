"""What a handler would do beside what was done: effects that are missing, added or changed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.database.tables import Effect
from infra.effects import Intent

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one effect."""

    #: `missing` (it was done, and would not be), `added`, or `changed`.
    how: str
    kind: str
    #: Argument that is another one, `values.name` -> what it was, and what it would be.
    arguments: dict[str, tuple[Any, Any]]


def differences(done: Sequence[Effect], intended: Sequence[Intent]) -> list[Difference]:
    """Effects are taken together in order, each kind by itself."""
    found = []
    for kind in dict.fromkeys([each.kind for each in done] + [each.kind for each in intended]):
        before = [each.arguments for each in done if each.kind == kind]
        now = [plain(each.arguments) for each in intended if each.kind == kind]
        found += list(_of_kind(kind, before, now))
    return found


def plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments as the database gives them back."""
    made: dict[str, Any] = json.loads(json.dumps(arguments))
    return made


def _of_kind(kind: str, before: list[dict[str, Any]], now: list[dict[str, Any]]) -> Iterator[Difference]:
    for old, new in zip(before, now, strict=False):
        if changed := dict(_changed("", old, new)):
            yield Difference("changed", kind, changed)
    for old in before[len(now) :]:
        yield Difference("missing", kind, {name: (value, None) for name, value in old.items()})
    for new in now[len(before) :]:
        yield Difference("added", kind, {name: (None, value) for name, value in new.items()})


def _changed(place: str, old: Any, new: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Where two values are not the same; only names of fields stand in a place, and a list is one value."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield place, (_shown(old), _shown(new))
        return
    for name in sorted({*old, *new}):
        yield from _changed(f"{place}.{name}" if place else name, old.get(name, _ABSENT), new.get(name, _ABSENT))


def _shown(value: Any) -> Any:
    return None if value is _ABSENT else value
