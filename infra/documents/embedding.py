"""A JSON Schema 2020-12 as a part of an AsyncAPI document, whose schemas are of the older draft 07 and stand together.

https://www.asyncapi.com/docs/reference/specification/v3.0.0#schemaObject
"""

from collections.abc import Callable, Mapping
from typing import Any

#: Where a document keeps its schemas.
PLACE = "#/components/schemas/"
#: What is said by the document as a whole, or would make the references of a part start at another place.
_NOT_OF_A_PART = frozenset({"$schema", "$id", "$defs", "$anchor", "$comment"})
_ONE = frozenset({"additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"})
_MANY = frozenset({"allOf", "anyOf", "oneOf"})
_NAMED = frozenset({"patternProperties", "properties"})


def embedded(schema: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """The schema under this name, and each that it defines for itself under a name made from it."""
    own = {key: f"{name}.{key}" for key in schema.get("$defs", {})}
    change = _Change(lambda reference: PLACE + own.get(reference.removeprefix("#/$defs/"), name))
    return {name: change(schema)} | {own[key]: change(each) for key, each in schema.get("$defs", {}).items()}


class _Change:
    """Rewrites a schema and the schemas within it; nothing of an example or a default is taken for one."""

    def __init__(self, refer: Callable[[str], str]) -> None:
        self._refer = refer

    def __call__(self, schema: Any) -> Any:
        if not isinstance(schema, Mapping):  # true and false are schemas too
            return schema
        made: dict[str, Any] = {}
        for key, value in schema.items():
            if key not in _NOT_OF_A_PART and key != "$ref":
                made |= self._member(key, value)
        return self._with_reference(made, schema["$ref"]) if "$ref" in schema else made

    def _with_reference(self, others: dict[str, Any], reference: str) -> dict[str, Any]:
        """Draft 07 passes over whatever stands beside a reference."""
        referring = {"$ref": self._refer(reference)}
        return {**others, "allOf": [*others.get("allOf", []), referring]} if others else referring

    def _member(self, key: str, value: Any) -> dict[str, Any]:
        if key in _NAMED:
            return {key: {name: self(each) for name, each in value.items()}}
        if key in _MANY:
            return {key: [self(each) for each in value]}
        if key == "discriminator":  # Pydantic's is that of OpenAPI; AsyncAPI's is the property's name alone
            return {key: value["propertyName"] if isinstance(value, Mapping) else value}
        if key == "prefixItems":  # a tuple, in draft 07
            return {"items": [self(each) for each in value]}
        return {key: self(value) if key in _ONE else value}
