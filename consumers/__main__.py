"""`python -m consumers`: run the consumers, or declare, list, pause and resume them."""

import typer

import consumers
from infra import commands, logs
from infra.adding import commands as adding
from infra.adding import drawing_up, showing
from infra.backfilling.commands import backfill
from infra.errors import ConfigurationError
from infra.rabbitmq import workers
from infra.rabbitmq.workers import Staff
from infra.recovery.commands import consumers as verbs
from infra.recovery.commands import retire, turns
from infra.settings import load
from infra.shadowing import commands as shadowing
from infra.topology import commands as topology

app = commands.make("The consumers.")


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    processes: int = typer.Option(1, min=0, max=64, help="Worker processes for events; 0: none here."),
    job_processes: int = typer.Option(1, min=0, max=64, help="Further ones for jobs alone; 0: none here."),
) -> int:
    """Run the consumers until SIGTERM; with a further word, do that instead."""
    if context.invoked_subcommand is not None:
        return 0
    if processes + job_processes == 0:
        raise ConfigurationError("There is nothing to run: give --processes or --job-processes at least one.")
    settings = load()
    logs.configure(settings, program="consumers")
    consumers.check(settings)
    # A fault is injected to see the program end, so then nothing is started again.
    jobs = Staff("consumers:work_on_jobs", job_processes, replaced=settings.fault is None)
    return workers.work([Staff("consumers:work", processes), jobs])


@app.command()
def declare() -> None:
    """Record every consumer and declare its queue, before the gateway takes its first request."""
    for name in consumers.declare(load()):
        typer.echo(f"declared {name}")


app.command(name="list")(showing.list_)
app.command()(showing.show)
app.command()(drawing_up.new)
app.command()(adding.check)
app.command()(adding.explain)
app.command()(verbs.pause)
app.command()(verbs.resume)
app.command()(turns.waiting)
app.command()(turns.skip)
app.command()(retire.made(consumers.discover))
app.command()(shadowing.made(consumers.discover))
app.add_typer(topology.made(consumers.discover), name="topology", hidden=True)  # people type ./tidings topology
app.command()(shadowing.beside(backfill, consumers.discover))


if __name__ == "__main__":
    commands.run(app, "./tidings consumers")
