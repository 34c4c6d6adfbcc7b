"""Data made from a schema: samples of what its version allows, the same ones each time."""

import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from infra.errors import TidingsError

#: Levels of nested data; deeper ones have what they must have, and no more.
_DEEPEST = 4
_STRINGS: Mapping[str, Sequence[str]] = {
    "date-time": (
        "2026-11-22T09:30:00Z", "1970-01-01T00:00:00Z", "2028-02-29T23:59:59.999999Z", "2026-06-01T12:00:00+02:00",
    ),
    "date": ("2026-11-22", "1970-01-01", "2028-02-29"),
    "time": ("09:30:00Z", "23:59:59.999999Z"),
    "duration": ("PT1H30M", "P3DT4H", "PT0S"),
    "uuid": ("01a20297-4dc0-773e-b690-f89538100a83", "00000000-0000-0000-0000-000000000001"),
    "email": ("ada@example.com", "o'neil+news@example.com", "žofie@příklad.cz"),
    "uri": ("https://example.com/", "https://example.com/a?b=c#d"),
    "ipv4": ("192.0.2.1",),
    "ipv6": ("2001:db8::1",),
}  # fmt: skip
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
#: What a text without a format may be, and what one with a pattern is looked for among.
_TEXTS = (
    "Ada Lovelace", "Žofie Ćosić 李", "a", "x" * 200, "EUR", "CZ", "en", "en-GB", "12.50", "7", "AB-1234", "#a0b1c2",
    "+420123456789", "a_b", "a.b", "a-b", "abc", "/a/b", "1.2.3", "deadbeef", "", "A1",
)  # fmt: skip


class CannotBeMade(TidingsError):
    """No text that the maker has fits a pattern of the schema."""


def smallest(schema: Mapping[str, Any]) -> Any:
    """The least that fits: what may be left out is.

    Raises:
        CannotBeMade: names the field.
    """
    return _Maker(schema, Random(0), optional=0.0).value(schema, "data", 0)  # noqa: S311  # nothing secret is made


def fullest(schema: Mapping[str, Any]) -> Any:
    """All that there can be: no field is left out, and none is null that need not be.

    Raises:
        CannotBeMade: names the field.
    """
    return _Maker(schema, Random(0), optional=1.0).value(schema, "data", 0)  # noqa: S311  # as above


def any_of(schema: Mapping[str, Any], seed: str | int) -> Any:
    """One of all that fit, another one for each seed.

    Raises:
        CannotBeMade: names the field.
    """
    return _Maker(schema, Random(seed), optional=0.5).value(schema, "data", 0)  # noqa: S311  # as above


def typical(schema: Mapping[str, Any]) -> Any:
    """What a person might write: the least that fits, of the schema's own examples where it has some.

    Raises:
        CannotBeMade: names the field.
    """
    return _Plain(schema, _First(), optional=0.0).value(schema, "data", 0)


class _Maker:
    """Makes values; `optional` is how likely a thing is there that need not be."""

    def __init__(self, root: Mapping[str, Any], random: Random, optional: float) -> None:
        self._root, self._random, self._optional = root, random, optional

    def value(self, schema: Any, place: str, depth: int) -> Any:
        """A value of this part of the schema."""
        if not isinstance(schema, Mapping):  # `true`: anything
            return None
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        if "$ref" in schema:
            return self.value(self._root["$defs"][str(schema["$ref"]).rpartition("/")[2]], place, depth + 1)
        for keyword in ("anyOf", "oneOf", "allOf"):
            if keyword in schema:
                return self.value(self._one(schema[keyword], depth), place, depth)
        return self._typed(schema, place, depth)

    def _one(self, options: Sequence[Mapping[str, Any]], depth: int) -> Mapping[str, Any]:
        nulls = [each for each in options if each.get("type") == "null"]
        if nulls and not self._wants(depth):
            return nulls[0]
        return self._random.choice([each for each in options if each not in nulls] or nulls)

    def _wants(self, depth: int) -> bool:
        return depth < _DEEPEST and self._random.random() < self._optional

    def _typed(self, schema: Mapping[str, Any], place: str, depth: int) -> Any:
        match schema.get("type", "object" if "properties" in schema else None):
            case "object":
                return dict(self._members(schema, place, depth))
            case "array":
                return list(self._items(schema, place, depth))
            case "string":
                return self._string(schema, place)
            case "integer" | "number" as kind:
                return self._number(schema, kind)
            case "boolean":
                return self._random.random() < 0.5
        return None

    def _members(self, schema: Mapping[str, Any], place: str, depth: int) -> Iterator[tuple[str, Any]]:
        required = schema.get("required", ())
        for name, inner in schema.get("properties", {}).items():
            if name in required or self._wants(depth):
                yield name, self.value(inner, f"{place}.{name}", depth + 1)
        if isinstance(inner := schema.get("additionalProperties"), Mapping) and self._wants(depth):
            yield self._string(schema.get("propertyNames", {}), place), self.value(inner, f"{place}.*", depth + 1)

    def _items(self, schema: Mapping[str, Any], place: str, depth: int) -> Iterator[Any]:
        for inner in (fixed := schema.get("prefixItems", ())):
            yield self.value(inner, place, depth + 1)
        least = schema.get("minItems", 0) - len(fixed)
        most = schema.get("maxItems", max(least, 0) + 3) - len(fixed)
        number = self._random.randint(max(least, 1), most) if most > 0 and self._wants(depth) else least
        made = [self.value(schema.get("items", {}), f"{place}.*", depth + 1) for _ in range(number)]
        yield from (each for at, each in enumerate(made) if not schema.get("uniqueItems") or each not in made[:at])

    def _string(self, schema: Mapping[str, Any], place: str) -> str:
        known = [each for each in schema.get("examples", ()) if isinstance(each, str)]
        texts = [*known, *_STRINGS.get(schema.get("format", ""), _TEXTS)]
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        fitting = [each for each in texts if least <= len(each) and (most is None or len(each) <= most)]
        pattern = schema.get("pattern")
        if pattern is not None:
            fitting = [each for each in fitting if re.search(pattern, each)]
        elif not fitting:
            fitting = ["x" * least]
        if not fitting:
            raise CannotBeMade(f"{place}: no text comes to mind for the pattern {pattern}")
        return self._random.choice(fitting)

    def _number(self, schema: Mapping[str, Any], kind: str) -> int | float:
        step = schema.get("multipleOf", 1)
        least = schema.get("minimum", schema.get("exclusiveMinimum", -step if "maximum" not in schema else None))
        most = schema.get("maximum", schema.get("exclusiveMaximum"))
        if least is None:
            least = most - 1000 * step
        most = least + 1000 * step if most is None else most
        inside = [least + step, most - step] if most - least >= 2 * step else []
        edges = [
            *([least] if "exclusiveMinimum" not in schema else []),
            *([most] if "exclusiveMaximum" not in schema else []),
        ]
        found = self._random.choice([*edges, *inside] or [(least + most) / 2])
        return int(found) if kind == "integer" else float(found)


class _First(Random):
    """Nothing by chance: of several things the first."""

    def random(self) -> float:
        return 0.0

    def choice(self, seq: Any) -> Any:
        return seq[0]


class _Plain(_Maker):
    """Prefers what the schema gives as examples, of whatever type, and numbers that look like one."""

    def value(self, schema: Any, place: str, depth: int) -> Any:
        examples = schema.get("examples") if isinstance(schema, Mapping) else None
        return examples[0] if examples else super().value(schema, place, depth)

    def _number(self, schema: Mapping[str, Any], kind: str) -> int | float:
        return super()._number(schema, kind) if _BOUNDS & schema.keys() else 1
