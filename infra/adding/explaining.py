"""Who gets an event, what becomes of it there, and who announces it: all that the code tells."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, Field

import infra
from events.envelope import Event
from infra.adding.roads import road
from infra.discovery import module_of
from infra.subscriptions import Subscription, recorded

ROOT = Path(infra.__file__).resolve().parents[1]
#: Where events are made.
_FOLDERS = ("gateway", "consumers", "scheduler", "infra")


class Taker(BaseModel):
    """One consumer that gets it."""

    consumer: str
    module: str
    description: str
    road: list[str] = Field(description="What becomes of it there, and of what fails.")


class Explanation(BaseModel):
    """One event type."""

    type: str
    version: int
    about: str = Field(description="What has happened.")
    made_in: str = Field(description="Module of its class.")
    takers: list[Taker]
    publishers: list[str] = Field(description="Consumers that say that they publish it.")
    places: list[str] = Field(description="Lines of code that make one, where the source is at hand.")


def explain(cls: type[Event], event_type: str) -> Explanation:
    """All that the code tells about events of this type; the consumers must have been looked for."""
    subscriptions = recorded()
    return Explanation(
        type=event_type,
        version=cls.VERSION,
        about=(cls.__doc__ or "").strip().partition("\n")[0],
        made_in=cls.__module__,
        takers=[_taker(each) for each in subscriptions if each.takes(event_type)],
        publishers=[each.consumer for each in subscriptions if event_type in (each.publishes or ())],
        places=list(_places(cls, ROOT)),
    )


def _taker(subscription: Subscription) -> Taker:
    return Taker(
        consumer=subscription.consumer,
        module=module_of(subscription),
        description=subscription.description,
        road=road(subscription),
    )


def _places(cls: type[Event], root: Path) -> Iterator[str]:
    """Calls of the class by its name; what makes events by their type alone (POST /events, schedules) is not seen."""
    for path in _sources(root):
        text = path.read_text(encoding="utf-8", errors="replace")
        if cls.__name__ in text:
            for line in _calls(text, cls.__name__):
                yield f"{path.relative_to(root).as_posix()}:{line}"


def _sources(root: Path) -> Iterable[Path]:
    return sorted(path for folder in _FOLDERS for path in (root / folder).rglob("*.py"))


def _calls(text: str, name: str) -> list[int]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # a module that somebody is at
        return []
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return sorted(node.lineno for node in called if isinstance(node.func, ast.Name) and node.func.id == name)
