"""Data that an event type takes, made from its schema: what a document shows, and a form begins with."""

from contextlib import suppress
from typing import Any

from events.envelope import Event
from infra.fitting import DoesNotFit, fitting
from infra.schemas import making, rendering
from infra.schemas.making import CannotBeMade


def made_up(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The plainest data that a schema allows; None when its patterns allow nothing that the maker knows."""
    with suppress(CannotBeMade):
        found: dict[str, Any] = making.typical(schema)
        return found
    return None


def example_of(cls: type[Event]) -> dict[str, Any] | None:
    """The plainest data that this class takes; None when its own checks refuse all that its schema allows."""
    schema = rendering.render(cls)
    for make in (making.typical, making.fullest):
        with suppress(CannotBeMade, DoesNotFit):
            found = make(schema)
            return fitting(cls, found).model_dump(mode="json", include=set(found))
    return None
