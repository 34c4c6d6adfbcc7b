"""`./tidings audit`: who did what, when and why."""

import json
from datetime import datetime
from typing import Annotated

import typer

from infra import commands
from infra.commands import output
from infra.commands.arguments import After, Json, Limit, moment, text
from infra.commands.opened import opened
from infra.commands.output import Columns
from infra.database import audit
from infra.recovery.views import DeedView

app = commands.make("Who did what, when and why.")
Text = Annotated[str | None, typer.Option(parser=text, metavar="TEXT")]
Since = Annotated[datetime | None, typer.Option(parser=moment, metavar="7d|2h|TIME", help="Done at or after.")]
Until = Annotated[datetime | None, typer.Option(parser=moment, metavar="7d|2h|TIME", help="Done before.")]


@app.callback()
def _several() -> None:
    """Typer takes a program of one command for that command, and this one has a name: list."""


@app.command("list")
def list_(  # noqa: PLR0913  # each is an option
    *,
    who: Text = None,
    action: Text = None,
    target: Text = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: After = None,
    as_json: Json = False,
) -> None:
    """Show what operators did, the newest first."""
    wanted = audit.Filter(who=who, action=action, target=target, since=since, until=until)
    with opened() as database, database.reading() as session:
        rows = audit.page(session, wanted, before=cursor, limit=limit + 1)
    deeds = [DeedView.model_validate(row) for row in rows]
    output.page(_DEEDS, deeds, limit, lambda each: each.id, as_json=as_json)


_DEEDS: Columns[DeedView] = {
    "at": lambda each: each.at,
    "who": lambda each: each.who,
    "action": lambda each: each.action,
    "target": lambda each: each.target,
    "why": lambda each: each.why,
    "details": lambda each: json.dumps(each.details),
    "id": lambda each: each.id,
}
