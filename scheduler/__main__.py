"""`python -m scheduler`: run the scheduler, or show its timetable."""

import asyncio

import typer
import uvloop

from infra import commands, faults, logs
from infra.commands import output
from infra.commands.arguments import Json, Limit
from infra.database.schedules import Filter
from infra.schedules.commands import changing, showing
from infra.schedules.commands.arguments import AfterName, From, State, Type
from infra.schedules.commands.backfill import backfill
from infra.settings import Settings, load
from scheduler.program import run as run_program
from scheduler.timetable import timetable

app = commands.make("The scheduler.")


@app.callback(invoke_without_command=True)
def run(context: typer.Context) -> None:
    """Run the scheduler until SIGTERM; with a further word, do that instead."""
    if context.invoked_subcommand is None:
        settings = load()
        logs.configure(settings, program="scheduler")
        faults.arm(settings.fault)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_program(settings))


@app.command(name="list")
def list_(  # noqa: PLR0913, PLR0917  # the options that people have
    state: State = None,
    origin: From = None,
    type_: Type = None,
    limit: Limit = 50,
    cursor: AfterName = None,
    as_json: Json = False,
) -> None:
    """Show the schedules: when each fires next, and what became of its last run."""
    settings = load()
    if _has_database(settings):
        showing.show_all(Filter(state=state, origin=origin, type=type_), limit, cursor, as_json=as_json)
    else:
        _show_code(settings, as_json=as_json)


app.command()(showing.show)
app.command()(showing.runs)
app.command()(showing.gaps)
app.command(name="run")(changing.run)
app.command()(changing.pause)
app.command()(changing.resume)
app.command()(backfill)
app.command()(changing.add)
app.command()(changing.remove)


def _has_database(settings: Settings) -> bool:
    """Whether there is one to ask; to look for SQLite's file would make it."""
    return settings.database_url is not None or settings.database_file.exists()


def _show_code(settings: Settings, *, as_json: bool) -> None:
    found = [(each.name, each.trigger.words, each.type, each.description) for each in timetable(settings.zone)]
    names = ("name", "when", "type", "description")
    if as_json:
        output.document({"items": [dict(zip(names, each, strict=True)) for each in found], "next": None})
    else:
        output.table(names, found)


if __name__ == "__main__":
    commands.run(app, "./tidings schedules")
