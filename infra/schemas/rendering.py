"""The JSON Schema of an event's data, as everybody who shows, freezes or serves it has it."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from events.attributes import LONGEST_TEXT
from events.envelope import Event

DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: The field that says whom or what an event is about.
SUBJECT = "x-subject"

#: What `Event` asks of every subject, as far as a schema can say it.
_TEXT = {"minLength": 1, "maxLength": LONGEST_TEXT, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}


class _Plain(GenerateJsonSchema):
    """Without titles that say a field's name again."""

    def field_title_should_be_set(self, schema: CoreSchema | Any) -> bool:  # noqa: ARG002  # Pydantic's own signature
        return False


def path(event_type: str, version: int) -> str:
    """Where the schema is served, and what an event names as its `dataschema`."""
    return f"/schemas/{event_type}/{version}"


def render(cls: type[Event]) -> dict[str, Any]:
    """JSON Schema 2020-12 of what this class reads; who writes an event may send further fields, which are ignored."""
    found = cls.model_json_schema(schema_generator=_Plain, mode="validation")
    head = {"$schema": DIALECT, "$id": path(cls.TYPE, cls.VERSION)}
    if cls.SUBJECT is None:
        return {**head, **found}
    field = found["properties"][cls.SUBJECT]
    if field.get("type") == "string" and "format" not in field:
        found["properties"][cls.SUBJECT] = _TEXT | field
    return {**head, SUBJECT: cls.SUBJECT, **found}


def written(document: Mapping[str, Any]) -> str:
    """A schema as text: the same for the same schema, and a line for each change in a comparison."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
