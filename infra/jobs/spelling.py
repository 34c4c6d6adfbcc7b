"""Parameters as people type them: `days=7`, read by the types that the kind's JSON Schema says."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: How deep a schema is looked into for what a field may be.
_DEEPEST = 5
_NAMES: dict[type, str] = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of those that a kind takes."""

    name: str
    #: Its types in JSON, or the values that it may have.
    kind: str
    #: As JSON; empty: it is required.
    default: str
    description: str


def parameters(schema: Mapping[str, Any]) -> Iterator[Parameter]:
    """Those of a kind, in the order of its model."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        default = "" if name in required else json.dumps(field.get("default"))
        yield Parameter(name, " or ".join(_spoken(schema, field)), default, field.get("description", ""))


def read(schema: Mapping[str, Any], pairs: Iterable[str]) -> dict[str, Any]:
    """Values of `name=value`, as the schema has them; what may be a text, and not what else it looks like, is one."""
    fields = schema.get("properties", {})
    said = {name: text for name, _, text in (each.partition("=") for each in pairs)}
    return {name: _value(set(_types(schema, fields.get(name, {}))), text) for name, text in said.items()}


def _value(types: set[str], text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    said = _NAMES[type(value)]
    fits = said in types or (said == "integer" and "number" in types) or "string" not in types
    return value if fits else text


def _spoken(schema: Mapping[str, Any], field: Mapping[str, Any]) -> Iterator[str]:
    for each in _leaves(schema, field):
        if "enum" in each or "const" in each:
            yield "|".join(map(str, each.get("enum", [each.get("const")])))
        else:
            yield str(each.get("format") or each.get("type", "anything"))


def _types(schema: Mapping[str, Any], field: Mapping[str, Any]) -> Iterator[str]:
    for each in _leaves(schema, field):
        said = each.get("type", ())
        yield from [said] if isinstance(said, str) else said
        yield from (_NAMES[type(value)] for value in each.get("enum", ()))


def _leaves(schema: Mapping[str, Any], field: Mapping[str, Any], deep: int = 0) -> Iterator[Mapping[str, Any]]:
    """What a field may be, behind references and choices."""
    name = str(field.get("$ref", "")).removeprefix("#/$defs/")
    inner = field.get("anyOf") or field.get("oneOf") or field.get("allOf") or []
    if name:
        inner = [schema.get("$defs", {}).get(name, {})]
    if not inner or deep == _DEEPEST:
        yield field
        return
    for each in inner:
        yield from _leaves(schema, each, deep + 1)
