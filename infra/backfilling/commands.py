"""`./tidings consumers backfill`: a consumer is sent events of the past."""

from datetime import datetime
from typing import Annotated

import typer

from infra.backfilling import planning
from infra.backfilling.planning import Wanted
from infra.backfilling.views import BackfillView
from infra.commands import output
from infra.commands.arguments import DryRun, Json, MaybeWhy, NoWait, moment, text
from infra.commands.opened import opened, who
from infra.recovery.commands import watching
from infra.recovery.commands.consumers import Name

_WHEN = "7d|2h|TIME"
Since = Annotated[datetime, typer.Option(parser=moment, metavar=_WHEN, help="Published at this moment or after it.")]
Until = Annotated[
    datetime | None, typer.Option(parser=moment, metavar=_WHEN, help="Published before this moment; else up to now.")
]
Types = Annotated[
    list[str] | None, typer.Option("--type", parser=text, metavar="TYPE", help="Several times; else all that it takes.")
]
Rate = Annotated[float | None, typer.Option(min=0.1, max=100_000, help="Events per second, at most.")]


def backfill(  # noqa: PLR0913, PLR0917  # the options that people have
    name: Name,
    since: Since,
    until: Until = None,
    types: Types = None,
    rate: Rate = None,
    dry_run: DryRun = False,
    why: MaybeWhy = None,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> int:
    """Send a consumer the events of the past that it has not settled, and wait for the end of it."""
    with opened() as database:
        wanted = Wanted(consumer=name, since=since, until=until, types=tuple(types or ()), rate=rate)
        planned = planning.plan(database, wanted)
        if dry_run:
            output.done(planned.view, _counted(planned.view), as_json=as_json)
            return 0
        with database.transaction() as session:
            begun = planning.start(session, planned, who=who(), why=why or "")
        does = f"sends {begun.total:,} events"
        return watching.follow(database, begun, does, wait=not no_wait, as_json=as_json)


def _counted(view: BackfillView) -> str:
    span = f", from {output.plain(view.first)} to {output.plain(view.last)}" if view.first else ""
    types = ", ".join(f"{count:,} {name}" for name, count in view.by_type.items())
    length = f" It takes about {view.seconds:,.0f} s at this rate." if view.seconds is not None else ""
    found = f" Found: {types}{span}." if types else ""
    return f"Would send: {view.would_send:,}; settled already: {view.already_settled:,}.{found}{length}"
