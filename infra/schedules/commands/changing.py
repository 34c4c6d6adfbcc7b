"""`./tidings schedules run`, `pause`, `resume`, `add` and `remove`."""

from typing import Annotated, Any

import typer
from pydantic import ValidationError

from infra.commands import output
from infra.commands.arguments import Json, MaybeWhy, Why, data, text
from infra.commands.opened import opened, who
from infra.schedules import listing, resuming, verbs
from infra.schedules.commands.arguments import MissedLimit, Name, OfMissed, OfOverlap
from infra.schedules.defining import NewSchedule

Type = Annotated[str, typer.Option("--type", parser=text, metavar="TYPE", help="Type of the event to announce.")]
Every = Annotated[str | None, typer.Option(metavar="10s|5m|2h|1d", help="An interval.")]
Cron = Annotated[str | None, typer.Option(metavar="'30 2 * * MON-FRI'", help="A line of cron.")]
Daily = Annotated[str | None, typer.Option(metavar="07:00", help="Once each day, or each of the days of --on.")]
On = Annotated[list[str] | None, typer.Option(metavar="mon|tue|…", help="With --daily; several times.")]
Zone = Annotated[str | None, typer.Option(metavar="Europe/Berlin", help="With --cron and --daily; else UTC.")]
Data = Annotated[
    dict[str, Any] | None, typer.Option("--data", parser=data, metavar="JSON|@FILE", help="The event's data.")
]
Description = Annotated[str, typer.Option(metavar="TEXT")]


def run(name: Name, why: Why, as_json: Json = False) -> None:
    """Have a schedule fire now, paused or not."""
    with opened() as database, database.transaction() as session:
        ordered = verbs.run(session, name, who=who(), why=why)
    output.done(ordered, f"A scheduler fires it within a second: its event is {ordered.event_id}.", as_json=as_json)


def pause(name: Name, why: Why, as_json: Json = False) -> None:
    """Have a schedule not fire until it is resumed."""
    with opened() as database:
        with database.transaction() as session:
            verbs.pause(session, name, who=who(), why=why)
        with database.reading() as session:
            found = listing.find(session, name)
    output.done(found, f"{name} is paused, in every replica at once.", as_json=as_json)


def resume(name: Name, why: Why, as_json: Json = False) -> None:
    """Let a schedule fire again from now on; what was due meanwhile becomes a gap."""
    with opened() as database:
        prepared = resuming.prepare(database, name)
        with database.transaction() as session:
            resuming.resume(session, prepared, who=who(), why=why)
        with database.reading() as session:
            found = listing.find(session, name)
    passed = f"; {prepared.gap.due} due times have passed" if prepared.gap else ""
    output.done(found, f"{name} goes on within two seconds{passed}.", as_json=as_json)


def add(  # noqa: PLR0913, PLR0917  # the options that people have
    name: Name,
    type_: Type,
    every: Every = None,
    cron: Cron = None,
    daily: Daily = None,
    on: On = None,
    zone: Zone = None,
    data: Data = None,
    description: Description = "",
    missed: OfMissed = "latest",
    missed_limit: MissedLimit = 100,
    overlap: OfOverlap = "allow",
    why: MaybeWhy = None,
    as_json: Json = False,
) -> None:
    """Add a schedule: --every, --cron or --daily says when it announces an event of --type with --data."""
    trigger = {"every": every, "cron": cron, "daily": daily, "on": on or None, "zone": zone}
    given = {
        "name": name, "type": type_, "trigger": {key: value for key, value in trigger.items() if value is not None},
        "data": data or {}, "description": description, "missed": missed, "missed_limit": missed_limit,
        "overlap": overlap,
    }  # fmt: skip
    definition = _read(given).definition()
    with opened() as database:
        with database.transaction() as session:
            verbs.add(session, definition, who=who(), why=why or "")
        with database.reading() as session:
            found = listing.find(session, name)
    first = f": next at {output.plain(found.next[0].at)}" if found.next else ""
    output.done(found, f"{name} fires {found.when}{first}.", as_json=as_json)


def remove(name: Name, why: Why, as_json: Json = False) -> None:
    """Remove a schedule that was added; its runs can still be read. One that is made in code can be paused."""
    with opened() as database, database.transaction() as session:
        verbs.remove(session, name, who=who(), why=why)
    output.done(
        {"removed": name}, f"{name} is removed; ./tidings schedules runs {name} shows its runs.", as_json=as_json
    )


def _read(given: dict[str, Any]) -> NewSchedule:
    try:
        return NewSchedule.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = str(first["loc"][-1])
        hint = "name" if place == "name" else "--every, --cron, --daily" if place == "trigger" else f"--{place}"
        raise typer.BadParameter(f"{first['msg']}.", param_hint=hint) from None
