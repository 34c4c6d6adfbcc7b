"""`./tidings consumers list|show`: the consumers as a table, or one of them in full."""

from collections.abc import Iterable
from typing import Annotated, get_args

import typer

from infra.adding import listing
from infra.adding.listing import Listed, ListedState, Overview
from infra.adding.roads import road
from infra.commands import output
from infra.commands.arguments import Json, Limit
from infra.commands.output import Columns
from infra.errors import NotKnown
from infra.recovery.commands.consumers import After, Name, Type
from infra.settings import load
from infra.subscriptions import EVERY_TYPE, recorded

State = Annotated[ListedState | None, typer.Option(metavar="|".join(get_args(ListedState)))]


def list_(
    state: State = None, type_: Type = None, limit: Limit = 50, cursor: After = None, as_json: Json = False
) -> None:
    """Show all consumers: what each takes and how, how full its queue is, who works on it, how far it has come."""
    found = listing.overview(load())
    _tell_what_is_missing(found)
    rows = listing.chosen(found.consumers, state=state, type=type_, after=cursor, limit=limit + 1)
    output.page(_CONSUMERS, rows, limit, lambda each: each.name, as_json=as_json)


def show(name: Name, as_json: Json = False) -> None:
    """Show one consumer: all of that, and what becomes of an event that fails there."""
    found = listing.overview(load())
    _tell_what_is_missing(found)
    one = next((each for each in found.consumers if each.name == name), None)
    if one is None:
        raise NotKnown(f"No consumer has the name {name!r}: ./tidings consumers list shows all.")
    if as_json:
        output.document(one)
        return
    output.members(list(_members(one)))
    for each in recorded():
        if each.consumer == name:
            typer.echo("\nWhat becomes of an event there:")
            typer.echo("\n".join(f"  {number}. {step}" for number, step in enumerate(road(each), 1)))


def _tell_what_is_missing(found: Overview) -> None:
    for module, reason in found.ignored.items():
        typer.echo(f"ignored: {module}: {reason}", err=True)
    for line in found.missing:
        typer.echo(line, err=True)


def _members(one: Listed) -> Iterable[tuple[str, object]]:
    yield from (("name", one.name), ("description", one.description), ("module", one.module or _NO_MODULE))
    yield from (("state", one.state), ("takes", _takes(one)), ("lane", _lane(one)))
    publishes = one.options.publishes
    yield ("publishes", "says nothing of it" if publishes is None else ", ".join(publishes) or "nothing")
    if one.pause is not None:
        yield ("paused", f"since {output.plain(one.pause.since)} by {one.pause.by}: {one.pause.reason}")
    if one.queued is not None:
        yield ("queue", f"{one.queued} waiting, {one.workers} worker processes attached")
    if one.settled is not None:
        yield from (("settled", _settled(one)), ("lag", _lag(one)), ("in turn", _in_turn(one)))
        yield ("resent", one.resent)
        yield from (("counts from", one.since), ("declared at", one.declared_at))


_NO_MODULE = "none subscribes it: ./tidings consumers retire deletes its queue"


def _takes(one: Listed) -> str:
    return "every event" if one.types == [EVERY_TYPE] else ", ".join(one.types)


def _lane(one: Listed) -> str:
    options = one.options
    if options.concurrency is None:
        return ""
    parts = [
        "jobs" if options.job else "",
        f"batch {options.batch.size}" if options.batch else f"{options.concurrency} at once",
        f"{options.timeout:g} s" if options.timeout is not None else "",
        "ordered" if options.ordered else "",
        "guarded" if options.filtered else "",
    ]
    return ", ".join(part for part in parts if part)


def _settled(one: Listed) -> str:
    return "" if one.settled is None else f"{one.settled} of {one.last}"


def _lag(one: Listed) -> str:
    return f"{one.lag_events}, {one.lag_seconds:.0f} s" if one.lag_events else ""


def _in_turn(one: Listed) -> str:
    """What an ordered consumer keeps back until earlier events of its subjects have ended."""
    return f"{one.waiting_events} of {one.waiting_subjects}" if one.waiting_events else ""


def _about(one: Listed) -> str:
    """Why it takes nothing, else what it does."""
    if one.pause is not None:
        return one.pause.reason
    return one.description if one.module else _NO_MODULE


_CONSUMERS: Columns[Listed] = {
    "name": lambda each: each.name,
    "state": lambda each: each.state,
    "takes": _takes,
    "lane": _lane,
    "tries": lambda each: each.tries,
    "queued": lambda each: each.queued,
    "workers": lambda each: each.workers,
    "settled": _settled,
    "lag": _lag,
    "in turn": _in_turn,
    "about": _about,
}
