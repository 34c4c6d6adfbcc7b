"""The catalogue: each event type with all that is known of it, ready to be laid out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.documents import words
from infra.documents.facts import Facts, Kind, Listener, Publisher
from infra.documents.fields import Field, fields_of


@dataclass(frozen=True, slots=True)
class Taker:
    """A consumer, as it stands beside each of its types."""

    name: str
    description: str
    #: A few words for each of its rules.
    lane: list[str]
    retries: str
    takes_all: bool
    is_retiring: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One event type."""

    type: str
    version: int
    earlier: tuple[int, ...]
    description: str
    subject: str | None
    is_known: bool
    is_announced_by_hand: bool
    #: Of a family: the field that is the last word of a member's type.
    member: str | None
    schema_path: str
    fields: list[Field]
    #: As JSON, for reading.
    schema: str
    example: str
    publishers: list[Publisher]
    takers: list[Taker]


def entries(facts: Facts) -> list[Entry]:
    """All types, by name."""
    return [_entry(kind, facts) for kind in facts.kinds]


def _entry(kind: Kind, facts: Facts) -> Entry:
    return Entry(
        type=kind.type,
        version=kind.version,
        earlier=kind.earlier,
        description=kind.description,
        subject=kind.subject,
        is_known=kind.is_known,
        is_announced_by_hand=kind.is_announced_by_hand,
        member=kind.member,
        schema_path=kind.schema_path,
        fields=fields_of(kind.schema or {}),
        schema=_written(kind.schema),
        example=_written(kind.example),
        publishers=facts.publishers_of(kind.type),
        takers=[_taker(each) for each in facts.listeners_of(kind.type)],
    )


def _taker(listener: Listener) -> Taker:
    return Taker(
        name=listener.name,
        description=listener.description,
        lane=words.lane(listener.options),
        retries=words.retries(listener.options),
        takes_all=listener.takes_all,
        is_retiring=listener.is_retiring,
    )


def _written(value: Mapping[str, Any] | None) -> str:
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
