"""What became of a schema: what may change within a version, and what makes another one of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Keywords that bind nobody.
_WORDS = frozenset({"description", "title", "examples", "$schema"})
#: Keywords whose members are schemas with names of their own.
_NAMED = frozenset({"properties", "$defs"})
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; one that is harmless may be made within a version."""

    text: str
    is_harmless: bool = False


def changes(frozen: Mapping[str, Any], now: Mapping[str, Any], place: str = "data") -> Iterator[Change]:
    """All differences between two schemas; none where only words changed.

    A new field that may be left out is harmless: who reads the older version passes over it, and who reads the newer
    one does without it. All else is not, a looser rule included: a program that is older than the writer refuses it.
    """
    for keyword in sorted((frozen.keys() | now.keys()) - _WORDS):
        before, after = frozen.get(keyword, _MISSING), now.get(keyword, _MISSING)
        if keyword in _NAMED:
            yield from _named(_members(before), _members(after), keyword, place, now)
        elif keyword == "required":
            yield from _required(frozen, now, place)
        else:
            yield from _value(before, after, f"{place} {keyword}")


def _named(
    before: Mapping[str, Any], after: Mapping[str, Any], keyword: str, place: str, now: Mapping[str, Any]
) -> Iterator[Change]:
    for name in sorted(before.keys() | after.keys()):
        where = f"{place}.{name}" if keyword == "properties" else name
        if name not in after:
            yield Change(f"{where} is gone")
        elif name in before:
            yield from changes(before[name], after[name], where)
        elif keyword == "$defs":
            yield Change(f"{where} is new", is_harmless=True)
        elif name in now.get("required", ()):
            yield Change(f"{where} is new and required")
        else:
            yield Change(f"{where} is new", is_harmless=True)


def _required(frozen: Mapping[str, Any], now: Mapping[str, Any], place: str) -> Iterator[Change]:
    before, after = set(frozen.get("required", ())), set(now.get("required", ()))
    for name in sorted((before ^ after) & frozen.get("properties", {}).keys() & now.get("properties", {}).keys()):
        yield Change(f"{place}.{name} {'may be missing now' if name in before else 'is required now'}")


def _value(before: object, after: object, where: str) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from changes(before, after, where)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for old, new in zip(before, after, strict=True):
            yield from _value(old, new, where)
    elif type(before) is not type(after) or before != after:
        yield Change(f"{where}: {_shown(before)} became {_shown(after)}")


def _shown(value: object) -> str:
    return "nothing" if value is _MISSING else repr(value)


def _members(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
