"""What commands print: aligned text for people, one JSON document for programs."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import typer
from pydantic import BaseModel

T = TypeVar("T", bound=BaseModel)
#: Heading -> what stands under it.
Columns = Mapping[str, Callable[[T], object]]
#: Characters of a cell, so that one long error does not push all others off the screen.
_WIDEST = 60
_NOTHING = "-"


def page(columns: Columns[T], rows: Sequence[T], limit: int, key: Callable[[T], str], *, as_json: bool) -> None:
    """Print a part of a list, of which one more than `limit` was asked for, and how to see what follows."""
    items = rows[:limit]
    following = key(items[-1]) if len(rows) > limit else None
    if as_json:
        document({"items": list(items), "next": following})
        return
    if not items:
        typer.echo("There is nothing.")
        return
    table(list(columns), [[show(item) for show in columns.values()] for item in items])
    if following:
        typer.echo(f"\nThere are more: --cursor {following}")


def one(item: BaseModel, *, as_json: bool, without: Collection[str] = ()) -> None:
    """Print all of one thing, for people `without` what is shown in another way."""
    if as_json:
        document(item)
        return
    names = [name for name in type(item).model_fields if name not in without]
    pairs = [(name.replace("_", " "), value) for name in names if (value := getattr(item, name))]
    members([(name, json.dumps(value) if isinstance(value, dict | list) else value) for name, value in pairs])


def done(content: Any, text: str, *, as_json: bool) -> None:
    """Print what a command did: one line, or for programs what it made."""
    if as_json:
        document(content)
    else:
        typer.echo(text)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their headings; long cells are cut, and none holds a control character."""
    cells = [tuple(head), *(tuple(cell(value) for value in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def members(pairs: Sequence[tuple[str, object]]) -> None:
    """Print names and values below one another, whole."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        typer.echo(f"{name.ljust(width)}  {plain(value)}")


def document(content: Any) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(_jsonable(content), indent=2))


def cell(value: object) -> str:
    """A value in one line of a table."""
    text = plain(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def plain(value: object) -> str:
    """A value as text that cannot do anything to a terminal, whoever wrote it."""
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(value))


def _jsonable(content: Any) -> Any:
    if isinstance(content, BaseModel):
        return content.model_dump(mode="json")
    if isinstance(content, dict):
        return {name: _jsonable(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_jsonable(value) for value in content]
    return content
