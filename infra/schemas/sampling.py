"""Samples of an event type's data: made once from its schema, and read on for ever after, as a delivery reads."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from events.envelope import Event, decode
from events.errors import UndecodableEvent
from events.registry import families
from infra.errors import ConfigurationError
from infra.schemas import making
from infra.schemas.making import CannotBeMade
from infra.schemas.rendering import path

#: Samples of each version that are made by chance, from a seed that stands fast.
_BY_CHANCE = 6


def read(event_type: str, version: int, data: Any) -> Event:
    """The data, with an envelope around, as today's newest class has it.

    Raises:
        UndecodableEvent: it cannot be read.
    """
    envelope = {
        "specversion": "1.0",
        "id": "00000000-0000-7000-8000-000000000000",
        "type": _on_the_wire(event_type, data),
        "source": "/samples",
        "time": "2026-11-22T09:30:00Z",
        "dataschema": path(event_type, version),
        "data": data,
    }
    return decode(json.dumps(envelope).encode()).data


def _on_the_wire(event_type: str, data: Any) -> str:
    """The type, or that of the member of a family which the data is of."""
    family = families().get(event_type)
    return event_type if family is None else family.type_of(data.get(family.MEMBER))


def problem(event_type: str, version: int, data: Any) -> str | None:
    """Why it cannot be read; None: it can."""
    try:
        read(event_type, version, data)
    except UndecodableEvent as error:
        return str(error)
    return None


def make(cls: type[Event], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Samples that this class takes: the least, all, some by chance, and all but one of the fields in turn.

    Raises:
        ConfigurationError: none could be made: somebody has to write some down.
    """
    name = f"{cls.TYPE}/{cls.VERSION}"
    try:
        made = list(_made(name, schema))
    except CannotBeMade as error:
        raise ConfigurationError(f"{name}: {error}: {_by_hand(name)}") from None
    found = [each for number, each in enumerate(made) if each not in made[:number] and _fits(cls, each)]
    if not found:
        raise ConfigurationError(f"{name}: the class refuses what its schema allows: {_by_hand(name)}")
    return found


def _made(name: str, schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield making.smallest(schema)
    yield (full := making.fullest(schema))
    for number in range(_BY_CHANCE):
        yield making.any_of(schema, f"{name}/{number}")
    for field in sorted(schema.get("properties", {}).keys() - set(schema.get("required", ()))):
        yield {key: value for key, value in full.items() if key != field}
        yield {**full, field: None}


def _fits(cls: type[Event], data: dict[str, Any]) -> bool:
    try:
        cls.model_validate(data)
    except ValueError:  # Pydantic's error is one
        return False
    return True


def _by_hand(name: str) -> str:
    return f"write some of its data, a JSON list, to events/schemas/{name}.samples.json, and freeze again."
