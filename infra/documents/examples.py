"""Data that an event type takes, made up from its schema: what a document shows, and a form begins with."""

from collections.abc import Mapping
from typing import Any

from events.envelope import Event
from infra.fitting import DoesNotFit, fitting

AN_ID = "018f9c5e-7a00-7000-8000-000000000001"
A_MOMENT = "2026-01-31T09:30:00Z"
#: What stands for a text of a format (JSON Schema 2020-12, section 7.3): always the same, so that documents are.
_FORMATS = {
    "uuid": AN_ID,
    "email": "ada@example.com",
    "date-time": A_MOMENT,
    "date": "2026-01-31",
    "time": "09:30:00Z",
    "duration": "PT1H",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}
#: Schemas within schemas: one that holds itself ends here.
_DEEPEST = 8
_CHOSEN = dict.fromkeys(("$ref", "anyOf", "oneOf", "allOf"))
#: What a schema that leaves open what it takes may be anyway.
_TEXT, _SOME_NUMBER = "text", 1


def example_of(cls: type[Event]) -> dict[str, Any] | None:
    """Data of an event of this class, without what may be left out; None when none is found that it takes."""
    schema = cls.model_json_schema()
    found = _Maker(schema.get("$defs", {})).make(schema)
    try:
        return fitting(cls, found).model_dump(mode="json", include=set(found)) if isinstance(found, dict) else None
    except DoesNotFit:
        return None


class _Maker:
    """Makes values for the schemas of one document."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions

    def make(self, schema: Mapping[str, Any], name: str = _TEXT, depth: int = 0) -> Any:
        """A value that this schema should take; `name` is what the field is called."""
        if depth > _DEEPEST:
            return None
        if examples := schema.get("examples"):
            return examples[0]
        if "const" in schema:
            return schema["const"]
        if values := schema.get("enum"):
            return values[0]
        if (chosen := self._choice(schema)) is not None:
            return self.make({**schema, **_CHOSEN, **chosen}, name, depth + 1)
        return self._of_type(schema, name, depth)

    def _choice(self, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What a schema that refers to others comes down to."""
        if reference := schema.get("$ref"):
            return dict(self._definitions.get(reference.rpartition("/")[2], {}))
        for several in ("anyOf", "oneOf"):
            if choices := schema.get(several):
                return dict(next((each for each in choices if each.get("type") != "null"), choices[0]))
        if parts := schema.get("allOf"):
            return {key: value for part in parts for key, value in part.items()}
        return None

    def _of_type(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        match schema.get("type"):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case plain:
                return _plain(plain, schema, name)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """What must be there, and what can be one thing only: that may say which of several objects this is."""
        properties, required = schema.get("properties", {}), schema.get("required", [])
        names = dict.fromkeys([*required, *(name for name, each in properties.items() if "const" in each)])
        return {name: self.make(properties.get(name, {}), name, depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        if first := schema.get("prefixItems"):
            return [self.make(each, name, depth + 1) for each in first]
        return [self.make(schema.get("items", {}), name, depth + 1) for _ in range(schema.get("minItems", 0))]


def _plain(kind: Any, schema: Mapping[str, Any], name: str) -> Any:
    match kind:
        case "integer":
            return round(_number(schema))
        case "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
    return _text(schema, name)


def _text(schema: Mapping[str, Any], name: str) -> str:
    text = _FORMATS.get(schema.get("format", ""), name.replace("_", " "))
    return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength", len(text) + 1_000)]


def _number(schema: Mapping[str, Any]) -> float:
    lowest: float = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    highest: float = schema.get("maximum", schema.get("exclusiveMaximum", lowest + 2) - 1)
    step: float = schema.get("multipleOf", _SOME_NUMBER)
    return min(max(_SOME_NUMBER, lowest, step), max(lowest, highest))
