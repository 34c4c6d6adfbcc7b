"""The fields of a JSON Schema as lines of a table that people read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Objects within objects that are taken apart.
_DEEPEST = 4
#: JSON's types, as people call several of them.
_PLURALS = {
    "string": "texts",
    "integer": "whole numbers",
    "number": "numbers",
    "boolean": "truths",
    "object": "objects",
}
_WORDS = {"string": "text", "integer": "whole number", "boolean": "true or false"}
#: Lowest, highest, and what is between them.
_RANGES = (
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " of them"),
    ("minimum", "maximum", ""),
)
_LIMITS = {"exclusiveMinimum": "above {}", "exclusiveMaximum": "below {}", "multipleOf": "a multiple of {}"}


@dataclass(frozen=True, slots=True)
class Field:
    """One line."""

    #: From the outside in, as in `address.street`.
    name: str
    #: What it holds, in words.
    kind: str
    #: `date-time` and the like.
    format: str
    is_required: bool
    description: str


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """The fields of an object, those of the objects in it behind them."""
    return list(_Reading(schema.get("$defs", {})).fields(schema))


class _Reading:
    """Reads the schemas of one document."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions

    def fields(self, schema: Mapping[str, Any], before: str = "", depth: int = 1) -> Iterator[Field]:
        required = schema.get("required", [])
        for name, given in schema.get("properties", {}).items():
            found = self._resolved(given)
            kind = self._kind(found)
            text = given.get("description", found.get("description", ""))
            description = " ".join(filter(None, [text, *_limits(found)]))
            yield Field(before + name, kind, self._format(found), name in required, description)
            if depth < _DEEPEST:
                yield from self.fields(self._inner(found), f"{before}{name}.", depth + 1)

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        """A schema that refers to one other, as one; those that refer to themselves end at some depth."""
        found: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else {}
        for _ in range(_DEEPEST):
            references = [found, *found.get("allOf", [])]
            reference = next((each["$ref"] for each in references if "$ref" in each), None)
            if reference is None:
                break
            others = {key: value for key, value in found.items() if key not in {"$ref", "allOf"}}
            found = {**self._definitions.get(reference.rpartition("/")[2], {}), **others}
        return found

    def _choices(self, schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        return [self._resolved(each) for each in schema.get("anyOf") or schema.get("oneOf") or []]

    def _kind(self, schema: Mapping[str, Any], depth: int = 0) -> str:
        if depth > _DEEPEST:
            return "…"
        if values := [schema["const"]] if "const" in schema else schema.get("enum"):
            return " or ".join(f"`{value}`" for value in values)
        if choices := self._choices(schema):
            return " or ".join(dict.fromkeys(self._kind(each, depth + 1) for each in choices))
        if schema.get("type") == "array":
            return f"list of {self._several(schema.get('items'), depth)}"
        if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), Mapping):
            return f"object of {self._several(schema['additionalProperties'], depth)}"
        kind = str(schema.get("type", "anything"))
        return _WORDS.get(kind, kind)

    def _several(self, schema: Any, depth: int) -> str:
        found = self._resolved(schema)
        return _PLURALS.get(str(found.get("type")), self._kind(found, depth + 1))

    def _format(self, schema: Mapping[str, Any]) -> str:
        found = [schema, *self._choices(schema)]
        return ", ".join(dict.fromkeys(str(each["format"]) for each in found if "format" in each))

    def _inner(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The object whose fields are this field's own: itself, one of its choices, or each item of a list."""
        for each in [schema, self._resolved(schema.get("items")), *self._choices(schema)]:
            if "properties" in each:
                return each
        return {}


def _limits(schema: Mapping[str, Any]) -> list[str]:
    """A sentence for each bound."""
    found = [_range(schema.get(lowest), schema.get(highest), unit) for lowest, highest, unit in _RANGES]
    found += [text.format(schema[name]) for name, text in _LIMITS.items() if name in schema]
    return [f"{text[0].upper()}{text[1:]}." for text in found if text]


def _range(lowest: Any, highest: Any, unit: str) -> str:
    if lowest is None and highest is None:
        return ""
    if lowest is None:
        return f"at most {highest}{unit}"
    return f"at least {lowest}{unit}" if highest is None else f"{lowest} to {highest}{unit}"
