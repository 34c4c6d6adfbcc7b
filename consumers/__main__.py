"""`python -m consumers`: run the consumers, or declare, list, pause and resume them."""

import typer

import consumers
from infra import commands, logs
from infra.adding import commands as adding
from infra.adding import drawing_up
from infra.backfilling.commands import backfill
from infra.commands import output
from infra.commands.arguments import Json, Limit
from infra.rabbitmq import workers
from infra.recovery.commands import consumers as verbs
from infra.recovery.commands import turns
from infra.recovery.commands.consumers import After, State, Type
from infra.settings import Settings, load
from infra.shadowing import commands as shadowing
from infra.subscriptions import recorded
from infra.topology import commands as topology

app = commands.make("The consumers.")


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    processes: int = typer.Option(1, min=1, max=64, help="Worker processes."),
) -> int:
    """Run the consumers until SIGTERM; with a further word, do that instead."""
    if context.invoked_subcommand is not None:
        return 0
    settings = load()
    logs.configure(settings, program="consumers")
    consumers.check(settings)
    return workers.work("consumers:work", processes=processes)


@app.command()
def declare() -> None:
    """Record every consumer and declare its queue, before the gateway takes its first request."""
    for name in consumers.declare(load()):
        typer.echo(f"declared {name}")


@app.command(name="list")
def list_(
    state: State = None, type_: Type = None, limit: Limit = 50, cursor: After = None, as_json: Json = False
) -> None:
    """Show the recorded consumers: whether each takes messages, and how far it has come."""
    settings = load()
    for module, reason in consumers.discover(settings).ignored.items():
        typer.echo(f"ignored: {module}: {reason}", err=True)
    if _has_database(settings):
        verbs.show(state, type_, limit, cursor, as_json=as_json)
    else:
        _show_found(as_json=as_json)


app.command()(drawing_up.new)
app.command()(adding.check)
app.command()(verbs.pause)
app.command()(verbs.resume)
app.command()(turns.waiting)
app.command()(turns.skip)
app.command()(shadowing.made(consumers.discover))
app.add_typer(topology.made(consumers.discover), name="topology", hidden=True)  # people type ./tidings topology
app.command()(shadowing.beside(backfill, consumers.discover))


def _has_database(settings: Settings) -> bool:
    """Whether there is one to ask; to look for SQLite's file would make it."""
    return settings.database_url is not None or settings.database_file.exists()


def _show_found(*, as_json: bool) -> None:
    found = [(each.consumer, ", ".join(each.types), each.description) for each in recorded()]
    names = ("name", "types", "description")
    if as_json:
        output.document({"items": [dict(zip(names, each, strict=True)) for each in found], "next": None})
    else:
        output.table(names, found)


if __name__ == "__main__":
    commands.run(app, "./tidings consumers")
