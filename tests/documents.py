"""The official judge of AsyncAPI documents, and what it does not look at: where references lead."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft7Validator

_SCHEMA = Path(__file__).parent / "infra" / "documents" / "asyncapi" / "3.0.0.json"


@cache
def _judge() -> Draft7Validator:
    return Draft7Validator(json.loads(_SCHEMA.read_text()))


def faults(document: dict[str, Any]) -> list[str]:
    """What the official JSON Schema of AsyncAPI 3.0.0 has against a document, and references that lead nowhere."""
    told = [
        f"{'/'.join(str(part) for part in each.instance_path)}: {each.message}"
        for each in _judge().iter_errors(document)
    ]
    return told + [reference for reference in references(document) if not _leads_somewhere(document, reference)]


def references(value: Any) -> Iterator[str]:
    """Each reference of a document, in examples and schemas too."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def payload_faults(document: dict[str, Any], event_type: str, payload: Any) -> list[str]:
    """What a message's schema has against a message."""
    schema = {"$ref": f"#/components/messages/{event_type}/payload", "components": document["components"]}
    return [each.message for each in Draft7Validator(schema, validate_formats=True).iter_errors(payload)]


def _leads_somewhere(document: Any, reference: str) -> bool:
    place, *path = reference.split("/")
    for part in path:
        if not isinstance(document, dict) or part not in document:
            return False
        document = document[part]
    return place == "#" and bool(path)
