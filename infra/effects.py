"""Effects: what happens outside the database, as data first and as a call after the commit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from infra.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Intent:
    """One effect that a handler intends."""

    event_id: str
    consumer: str
    #: Order within the delivery, from 0.
    ordinal: int
    #: Durable name of the function that performs it.
    kind: str
    #: Plain JSON.
    arguments: dict[str, Any]
    #: The same at each try, so that the other side can recognise a second one.
    key: str


#: Performs an intent; raises EffectRefused (for good) or any other exception (for now).
Performer = Callable[[Intent], None]
P = TypeVar("P", bound=Performer)

_performers: dict[str, Performer] = {}


def effect(kind: str) -> Callable[[P], P]:
    """Register the function that performs effects of this kind; the name goes into the database, so it must last.

    Raises:
        ConfigurationError: the name is taken.
    """

    def record(performer: P) -> P:
        if kind in _performers:
            raise ConfigurationError(f"The effect {kind!r} is taken by {_performers[kind].__module__}.")
        _performers[kind] = performer
        return performer

    return record


def performers() -> dict[str, Performer]:
    """All effects registered so far."""
    return dict(_performers)
