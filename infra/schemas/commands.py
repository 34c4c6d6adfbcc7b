"""`./tidings events freeze`, `check` and `types`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer
from pydantic import BaseModel

from infra.commands import FAILED, MISUSED, output, watching
from infra.commands.arguments import Json, moment, text
from infra.commands.opened import opened
from infra.commands.output import Columns
from infra.database.bodies import Filter
from infra.schemas import checking, freezing
from infra.schemas.freezing import Judged
from infra.schemas.live import LiveView, Reading, TypeView

Check = Annotated[bool, typer.Option("--check", help="Only say what would change; exit code 2 if anything would.")]
Live = Annotated[bool, typer.Option("--live", help="Read all events of the database, too.")]
Type = Annotated[str | None, typer.Option("--type", parser=text, metavar="TYPE", help="Of this type alone.")]
Since = Annotated[
    datetime | None, typer.Option(parser=moment, metavar="7d|2h|TIME", help="Published, or given up, since then.")
]

_SAID = {"new": "new", "changed": "other words", "without-samples": "samples"}


class FrozenView(BaseModel):
    """One version of an event type beside what is frozen of it."""

    type: str
    version: int
    verdict: freezing.Verdict
    changes: list[str]


class ProblemView(BaseModel):
    """Something that is wrong with what is frozen, or with a class."""

    type: str
    version: int | None
    problem: str


def freeze(check: Check = False, as_json: Json = False) -> int:
    """Write down the schema of each event version, with samples; a version that is frozen cannot become another."""
    judged = freezing.judge(freezing.owned())
    differing = [each for each in judged if each.verdict != "same"]
    broken = [each for each in differing if each.verdict == "broken"]
    if not check:
        freezing.freeze(differing)
    if as_json:
        output.document({"items": [_view(each) for each in differing], "frozen": len(judged) - len(differing)})
    else:
        _tell(differing, check=check)
    if broken:
        return FAILED
    return MISUSED if check and differing else 0


def _tell(differing: list[Judged], *, check: bool) -> None:
    for each in differing:
        if each.verdict == "broken":
            typer.echo(f"tidings: {each.name} {each.way_out}", err=True)
        else:
            what = "; ".join(each.changes) or _SAID[each.verdict]
            typer.echo(f"{'would be frozen' if check else 'frozen'}: {each.name} ({what})")
    if not differing:
        typer.echo("Every event type is frozen as it is.")


def _view(each: Judged) -> FrozenView:
    return FrozenView(
        type=each.event.TYPE, version=each.event.VERSION, verdict=each.verdict, changes=list(each.changes)
    )


def check(live: Live = False, type_: Type = None, since: Since = None, as_json: Json = False) -> int:
    """Say whether this program reads every event version that was frozen, and (--live) all that the database holds.

    Without --live it needs neither broker nor database. The database may be of an older version: ask before it is
    migrated.
    """
    if not live and (type_ or since):
        raise typer.BadParameter("this chooses among the events of the database: add --live.", param_hint="--live")
    found = checking.problems(freezing.owned())
    seen = _read_all(Filter(type=type_, since=since)) if live else None
    if as_json:
        views = [ProblemView(type=each.type, version=each.version, problem=each.text) for each in found]
        output.document({"items": views} | ({"live": seen} if seen else {}))
    else:
        _tell_problems(found)
        if seen:
            _tell_seen(seen)
    return FAILED if found or (seen and seen.unreadable) else 0


def _tell_problems(found: Sequence[checking.Problem]) -> None:
    for each in found:
        name = each.type if each.version is None else f"{each.type}/{each.version}"
        typer.echo(f"tidings: {name} {each.text}", err=True)
    if not found:
        typer.echo("Every event version that is frozen can be read.")


def _read_all(wanted: Filter) -> LiveView:
    line = watching.Line()
    try:
        with opened(of_any_version=True) as database:
            return Reading(line.show).read(database, wanted)
    finally:
        line.end()


def _tell_seen(seen: LiveView) -> None:
    if seen.types:
        output.table(list(_TYPES), [[show(each) for show in _TYPES.values()] for each in seen.types])
    for each in seen.failures:
        typer.echo(f"tidings: {each.place} {each.id}: {output.plain(each.problem)}", err=True)
    more = [f"{seen.read:,} events can be read, {seen.unreadable:,} cannot"]
    if seen.erased:
        typer.echo(f"{seen.erased:,} places of the log whose event was erased were passed over.")
    if seen.given_up_as_unreadable:
        more.append(
            f"{seen.given_up_as_unreadable:,} dead letters say themselves that they could not be, and still cannot"
        )
    if seen.readable_again:
        more.append(f"{seen.readable_again:,} of them can be now: ./tidings dead replay")
    typer.echo("; ".join(more) + ".")


_TYPES: Columns[TypeView] = {
    "type": lambda each: each.type,
    "version": lambda each: each.version,
    "read": lambda each: f"{each.read:,}",
    "unreadable": lambda each: f"{each.unreadable:,}",
}
