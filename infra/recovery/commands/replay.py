"""`./tidings dead replay`: letters go to their consumer again, and the command shows how they fare."""

from dataclasses import replace
from typing import Annotated

import typer

from infra.commands import output
from infra.commands.arguments import DryRun, Json, MaybeWhy, NoWait
from infra.commands.opened import opened, who
from infra.database import dead_letters
from infra.database.dead_letters import Filter
from infra.database.engine import Database
from infra.recovery import replaying
from infra.recovery.commands import watching
from infra.recovery.commands.arguments import AnyIds, filtered, is_empty, ratio
from infra.recovery.replaying import Terms
from infra.recovery.views import LetterView, PreviewView

All = Annotated[bool, typer.Option("--all", help="Every waiting letter: when neither ids nor filters are given.")]
Rate = Annotated[float | None, typer.Option(min=0.1, max=10_000, help="Letters per second, at most.")]
Canary = Annotated[int | None, typer.Option(min=1, max=10_000, help="So many first, and the rest if they are handled.")]
Ratio = Annotated[
    float | None,
    typer.Option(parser=ratio, metavar="0..1", help="Stop when this part of those that ended has failed."),
]
Force = Annotated[bool, typer.Option("--force", help="Also what is handled already, or part of a loop.")]


@filtered
def replay(  # noqa: PLR0913, PLR0917  # the options that people have
    wanted: Filter,
    ids: AnyIds = None,
    every: All = False,
    dry_run: DryRun = False,
    rate: Rate = None,
    canary: Canary = None,
    stop_at_failure_ratio: Ratio = None,
    force: Force = False,
    why: MaybeWhy = None,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> int:
    """Send letters to their consumer again: those that are named, those that the filters choose, or --all."""
    _require_one_way(ids or [], wanted, every)
    terms = Terms(rate=rate, canary=canary, stop_at_failure_ratio=stop_at_failure_ratio, force=force)
    with opened() as database:
        if dry_run:
            return _count(database, replace(wanted, ids=tuple(ids or ())), as_json)
        if ids and len(set(ids)) == 1:
            return _replay_one(database, ids[0], why or "", force, no_wait, as_json)
        with database.transaction() as session:
            if ids:
                begun = replaying.start_these(session, ids, terms, who=who(), why=why or "")
            else:
                begun = replaying.start(session, wanted, terms, who=who(), why=why or "")
        does = f"replays {begun.total} letters"
        return watching.follow(database, begun, does, wait=not no_wait, as_json=as_json)


def _require_one_way(ids: list[str], wanted: Filter, every: bool) -> None:
    ways = [bool(ids), not is_empty(wanted), every]
    if sum(ways) == 0:
        raise typer.BadParameter("name letters by id, give a filter, or --all for every waiting letter.")
    if sum(ways) > 1:
        raise typer.BadParameter("give ids, or filters, or --all: one of them.")


def _count(database: Database, wanted: Filter, as_json: bool) -> int:
    with database.reading() as session:
        counted = PreviewView.model_validate(dead_letters.preview(session, wanted))
    output.one(counted, as_json=as_json)
    return 0


def _replay_one(  # noqa: PLR0913, PLR0917  # each is an option of the command
    database: Database, letter_id: str, why: str, force: bool, no_wait: bool, as_json: bool
) -> int:
    with database.transaction() as session:
        begun = replaying.replay_one(session, letter_id, who=who(), why=why, force=force)
    if no_wait:
        text = f"On its way: ./tidings dead show {letter_id} says how it ends."
        output.done(LetterView.model_validate(begun), text, as_json=as_json)
        return 0
    return watching.letter(database, letter_id, as_json=as_json)
