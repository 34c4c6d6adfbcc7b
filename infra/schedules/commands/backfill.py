"""`./tidings schedules backfill`: due times of the past are fired, and the command shows how far it is."""

import typer

from infra.commands import output
from infra.commands.arguments import DryRun, Json, MaybeWhy, NoWait
from infra.commands.opened import opened, who
from infra.recovery.commands import watching
from infra.schedules import backfilling
from infra.schedules.commands.arguments import End, First, Name
from infra.schedules.views import BackfillView


def backfill(  # noqa: PLR0913, PLR0917  # the options that people have
    name: Name,
    since: First,
    until: End = None,
    dry_run: DryRun = False,
    why: MaybeWhy = None,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> int:
    """Fire the due times of a range that were not fired, and wait for the end of it."""
    if why is None and not dry_run:
        raise typer.BadParameter("say why, or --dry-run.", param_hint="--why")
    with opened() as database:
        planned = backfilling.plan(database, name, since, until)
        if dry_run:
            output.done(planned.view, _counted(planned.view), as_json=as_json)
            return 0
        with database.transaction() as session:
            begun = backfilling.start(session, planned, who=who(), why=why or "")
        does = f"fires {begun.total} due times"
        return watching.follow(database, begun, does, wait=not no_wait, as_json=as_json)


def _counted(view: BackfillView) -> str:
    span = f" ({output.plain(view.first)} to {output.plain(view.last)})" if view.would_fire else ""
    return f"Would fire: {view.would_fire}{span}; fired or ordered already: {view.already_there}."
