"""The text of a new consumer's module and of its test, laid out as ruff has it."""

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from events.envelope import Event, event_types
from infra.adding.wishes import Wish
from infra.documents.examples import example_of

#: Characters of a line: `line-length` of pyproject.toml.
_LINE = 120
_INDENT = "    "


def module(wish: Wish) -> str:
    """The consumer's module."""
    names = _Names(wish.classes or ())
    takes = ", ".join(names.of(cls) for cls in wish.classes or ()) or "Event"
    options = [f'"{wish.name}"', f"to={takes}" if "," not in takes else f"to=({takes})"]
    options += ["batch=Batch(size=100, wait=0.02)"] if wish.is_batch else []
    options += ["ordered=True"] if wish.is_ordered else []
    event = names.annotation()
    uses = names.imports(with_event=not wish.classes or (event == "Event" and not wish.is_batch))
    spoken = ["Batch", "Context", "subscribe"] if wish.is_batch else ["Context", "subscribe"]
    return "\n".join(
        [
            '"""Say here in one line what this consumer does, and why."""',
            "",
            *(["from collections.abc import Sequence", ""] if wish.is_batch else []),
            *uses,
            *_imported("infra.subscriptions", spoken),
            "",
            "",
            *called("@subscribe(", options, ")"),
            *called(f"{_define(wish)} handle(", _parameters(wish, event), ") -> None:"),
            f'{_INDENT}"""{_first_line(wish)}"""',
            *_body(wish),
            "",
        ]
    )


def test(wish: Wish) -> str:
    """The test beside it; of a class whose fields cannot be made up, its author has to say them."""
    cls = sample_class(wish)
    names = _Names((cls,))
    made, needs = _made(cls)
    own = [*names.imports(with_event=False), "from infra.testing import Kit"]
    return "\n".join(
        [
            '"""What becomes of an event at this consumer."""',
            "",
            *needs,
            *([""] if needs else []),
            *own,
            "",
            f'CONSUMER = "{wish.name}"',
            "",
            "",
            "def test_an_event_is_handled_at_the_first_try(kit: Kit) -> None:",
            *called(f"{_INDENT}event = {names.of(cls)}{made[0]}", made[1], ")", depth=1),
            f"{_INDENT}told = kit.deliver(event, to=CONSUMER)",
            f'{_INDENT}assert "handled" == told.state, told.error',
            "",
        ]
    )


def sample_class(wish: Wish) -> type[Event]:
    """The class of which the test makes an event."""
    return wish.classes[0] if wish.classes else next(iter(event_types().values()))


class _Names:
    """How classes are called in a module: by their own names, unless two of them have the same one."""

    def __init__(self, classes: Sequence[type[Event]]) -> None:
        self._classes = classes
        own = [cls.__name__ for cls in classes]
        self._twice = {name for name in own if own.count(name) > 1}

    def of(self, cls: type[Event]) -> str:
        if cls.__name__ in self._twice:
            return f"{cls.__module__.rpartition('.')[2].title().replace('_', '')}{cls.__name__}"
        return cls.__name__

    def annotation(self) -> str:
        """What the handler's event is: one of the classes, or any event where that would be too long a list."""
        union = " | ".join(self.of(cls) for cls in self._classes)
        return union if union and len(union) <= _LINE // 2 else "Event"

    def imports(self, *, with_event: bool) -> list[str]:
        """The lines that import them, in the order that ruff wants."""
        modules: dict[str, list[str]] = {"events.envelope": ["Event"]} if with_event else {}
        for cls in self._classes:
            known = self.of(cls)
            spoken = known if known == cls.__name__ else f"{cls.__name__} as {known}"
            modules.setdefault(cls.__module__, []).append(spoken)
        return [line for name in sorted(modules) for line in _imported(name, sorted(modules[name]))]


def _imported(name: str, what: Sequence[str]) -> list[str]:
    if any(" as " in each for each in what):  # isort gives each of these a line of its own
        plain = [each for each in what if " as " not in each]
        renamed = [f"from {name} import {each}" for each in what if " as " in each]
        return [*(_imported(name, plain) if plain else []), *renamed]
    line = f"from {name} import {', '.join(what)}"
    return [line] if len(line) <= _LINE else [f"from {name} import (", *(f"{_INDENT}{each}," for each in what), ")"]


def called(head: str, arguments: Sequence[str], end: str, *, depth: int = 0) -> list[str]:
    """A call or a definition in one line, or where that is too long with a line for each argument."""
    line = f"{head}{', '.join(arguments)}{end}"
    if len(line) <= _LINE:
        return [line]
    inner = [line for each in arguments for line in _argument(each, _INDENT * (depth + 1))]
    return [head, *inner, f"{_INDENT * depth}{end}"]


def _argument(text: str, indent: str) -> list[str]:
    """A line of its own; a tuple that is too long for one has a line for each of its members."""
    if len(indent) + len(text) < _LINE or not text.endswith(")"):
        return [f"{indent}{text},"]
    head, _, members = text[:-1].partition("(")
    return [f"{indent}{head}(", *(f"{indent}{_INDENT}{each}," for each in members.split(", ")), f"{indent}),"]


def _define(wish: Wish) -> str:
    return "async def" if wish.is_async else "def"


def _parameters(wish: Wish, event: str) -> list[str]:
    return ["batch: Sequence[Context]"] if wish.is_batch else [f"event: {event}", "context: Context"]


def _first_line(wish: Wish) -> str:
    """It stands in the list of consumers, and beside the queue in the management UI."""
    line = f"Take {' and '.join(cls.TYPE for cls in wish.classes)}." if wish.classes else "Take every event."
    return line if len(line) <= _LINE // 2 or not wish.classes else f"Take events of {len(wish.classes)} types."


def _body(wish: Wish) -> list[str]:
    if wish.is_batch:
        return [f"{_INDENT}for one in batch:", f'{_INDENT * 2}one.log.info("taken", type=one.event.TYPE)']
    return [f'{_INDENT}context.log.info("taken", type=event.TYPE)']


def _made(cls: type[Event]) -> tuple[tuple[str, list[str]], list[str]]:
    """How the test makes an event: what follows the class's name, the arguments, and the imports that these need."""
    values = example_of(cls)
    if values is None:
        return (".model_validate(", ["{}"]), []
    event = cls.model_validate(values)
    fields = {name: getattr(event, name) for name in values}
    if all(_is_plain(value) for value in fields.values()):
        return ("(", [f"{name}={_literal(value)}" for name, value in fields.items()]), _needed(fields.values())
    return (".model_validate(", [_literal(values)]), []


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(each) for each in value)
    if isinstance(value, dict):
        return all(_is_plain(each) for each in value.values())
    return type(value) in {str, int, float, bool, type(None), UUID, datetime, date} and not isinstance(value, BaseModel)


def _needed(values: Iterable[Any]) -> list[str]:
    kinds = {type(value) for value in values}
    moments = [
        *(["UTC"] if datetime in kinds else []),
        *(["date"] if date in kinds else []),
        *(["datetime"] if datetime in kinds else []),
    ]
    return [
        *([f"from datetime import {', '.join(moments)}"] if moments else []),
        *(["from uuid import UUID"] if UUID in kinds else []),
    ]


def _literal(value: Any) -> str:
    """The value as Python spells it."""
    match value:
        case list():
            return f"[{', '.join(_literal(each) for each in value)}]"
        case dict():
            return "{" + ", ".join(f'"{name}": {_literal(each)}' for name, each in value.items()) + "}"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case UUID():
            return f'UUID("{value}")'
        case date():
            return _moment(value)
    return repr(value)


def _moment(value: date) -> str:
    if not isinstance(value, datetime):
        return f"date({value.year}, {value.month}, {value.day})"
    parts = (value.year, value.month, value.day, value.hour, value.minute)
    return f"datetime({', '.join(map(str, parts))}, tzinfo=UTC)"
