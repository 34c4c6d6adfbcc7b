"""The schema that an event names as its `dataschema`, of whatever version that can be read here."""

from functools import cache

from events.envelope import Event
from events.registry import classes
from infra.errors import NotKnown
from infra.schemas import frozen
from infra.schemas.rendering import render, written


def find(event_type: str, version: int) -> str:
    """The schema as text: of the class if there is one, of an older version as it was frozen.

    Raises:
        NotKnown: this program reads no events of this version.
    """
    cls = classes().get((event_type, version))
    return _of_class(cls) if cls is not None else _of_file(event_type, version)


def versions(event_type: str) -> list[int]:
    """Versions of a type whose schema is known here, the oldest first."""
    of_classes = {version for name, version in classes() if name == event_type}
    return sorted(of_classes | {version for name, version in _frozen() if name == event_type})


@cache
def _of_class(cls: type[Event]) -> str:
    return written(render(cls))


def _of_file(event_type: str, version: int) -> str:
    # Nothing of what somebody asks for becomes part of a path.
    if (found := _frozen().get((event_type, version))) is None:
        raise NotKnown("This program knows no such version of an event type: ./tidings events types lists them.")
    return found


@cache
def _frozen() -> dict[tuple[str, int], str]:
    """They come with the release, and do not change while it runs."""
    return {(each.type, each.version): written(each.schema) for each in frozen.every()}
