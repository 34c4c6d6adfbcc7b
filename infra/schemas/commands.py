"""`./tidings events freeze`, `check` and `types`."""

from typing import Annotated

import typer
from pydantic import BaseModel

from infra.commands import FAILED, MISUSED, output
from infra.commands.arguments import Json
from infra.schemas import checking, freezing
from infra.schemas.freezing import Judged

Check = Annotated[bool, typer.Option("--check", help="Only say what would change; exit code 2 if anything would.")]

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


def check(as_json: Json = False) -> int:
    """Say whether this program reads every event version that was frozen; needs neither broker nor database."""
    found = checking.problems(freezing.owned())
    if as_json:
        views = [ProblemView(type=each.type, version=each.version, problem=each.text) for each in found]
        output.document({"items": views})
    else:
        for each in found:
            name = each.type if each.version is None else f"{each.type}/{each.version}"
            typer.echo(f"tidings: {name} {each.text}", err=True)
        if not found:
            typer.echo("Every event version that is frozen can be read.")
    return FAILED if found else 0
