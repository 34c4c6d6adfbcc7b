"""`./tidings operations`: what runs in the background, and how to stop it."""

from typing import Annotated, get_args

import typer

from infra import commands
from infra.commands import output
from infra.commands.arguments import After, Id, Json, Limit, MaybeWhy
from infra.commands.opened import opened, who
from infra.commands.output import Columns
from infra.database import operations
from infra.recovery import replaying, resuming
from infra.recovery.commands import watching
from infra.recovery.views import OperationState, OperationView

app = commands.make("What operators started and what is worked off in the background.")
State = Annotated[OperationState | None, typer.Option(metavar="|".join(get_args(OperationState)))]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for its end.")]


@app.command("list")
def list_(state: State = None, limit: Limit = 50, cursor: After = None, as_json: Json = False) -> None:
    """Show operations, the newest first."""
    with opened() as database, database.reading() as session:
        rows = operations.page(session, operations.Filter(state=state), before=cursor, limit=limit + 1)
    output.page(_OPERATIONS, [OperationView.of(row) for row in rows], limit, lambda each: each.id, as_json=as_json)


@app.command()
def show(id: Id, wait: Wait = False, as_json: Json = False) -> int:  # noqa: A002  # what people read in the usage
    """Show one operation, and how far it is; with --wait, exit code 1 when it did not end well."""
    with opened() as database:
        if wait:
            return watching.operation(database, id, as_json=as_json)
        with database.reading() as session:
            found = OperationView.of(replaying.find_operation(session, id))
    output.one(found, as_json=as_json)
    return 0


@app.command()
def stop(id: Id, why: MaybeWhy = None, as_json: Json = False) -> None:  # noqa: A002  # as above
    """Stop an operation: a replay's letters wait again, due times are given up, a consumer's past can be resumed."""
    with opened() as database, database.transaction() as session:
        asked = OperationView.of(replaying.stop(session, id, who=who(), why=why or ""))
    output.done(asked, "It stops within a second or so; what it has not sent stays undone.", as_json=as_json)


@app.command()
def resume(id: Id, why: MaybeWhy = None, as_json: Json = False) -> None:  # noqa: A002  # as above
    """Let a backfill of a consumer that was stopped go on where it was."""
    with opened() as database, database.transaction() as session:
        asked = OperationView.of(resuming.resume(session, id, who=who(), why=why or ""))
    output.done(asked, f"It goes on: ./tidings operations show --wait {id}", as_json=as_json)


_OPERATIONS: Columns[OperationView] = {
    "id": lambda each: each.id,
    "kind": lambda each: each.kind,
    "state": lambda each: each.state,
    "total": lambda each: each.total,
    "sent": lambda each: each.sent,
    "handled": lambda each: each.handled,
    "failed": lambda each: each.failed,
    "began": lambda each: each.created_at,
    "message": lambda each: each.message,
}
