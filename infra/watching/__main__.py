"""`python -m infra.watching`: how what Tidings needs is doing, as `./tidings health`."""

from datetime import UTC, datetime
from typing import Annotated, get_args

import typer

from infra import commands
from infra.commands import output
from infra.commands.arguments import Json
from infra.commands.opened import opened
from infra.commands.output import Columns
from infra.watching import views
from infra.watching.views import HealthState, HealthView

app = commands.make("How what Tidings needs is doing.")
State = Annotated[HealthState | None, typer.Option(metavar="|".join(get_args(HealthState)), help="Only these.")]


@app.command()
def health(state: State = None, as_json: Json = False) -> int:
    """Show broker, database, mail server and the road from the clock to the consumers; exit code 1 unless all is ok."""
    with opened() as database, database.reading() as session:
        found = views.everything(session, datetime.now(UTC))
    shown = [view for view in found if state in (None, view.state)]
    output.page(_HEALTH, shown, len(shown), lambda view: view.component, as_json=as_json)
    return 0 if found and all(view.state == "ok" for view in found) else commands.FAILED


_HEALTH: Columns[HealthView] = {
    "component": lambda each: each.component,
    "state": lambda each: each.state,
    "since": lambda each: each.since,
    "looked at": lambda each: each.checked_at,
    "found": lambda each: each.detail,
    "doubted since": lambda each: each.doubted_since,
}


if __name__ == "__main__":
    commands.run(app, "./tidings health")
