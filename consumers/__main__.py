"""`python -m consumers`: run the consumers, or declare and list them."""

import typer

import consumers
from infra import commands, logs
from infra.rabbitmq import workers
from infra.settings import load
from infra.subscriptions import recorded

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
def list_() -> None:
    """Show what was found in this folder."""
    found = consumers.discover()
    for subscription in recorded():
        typer.echo(f"{subscription.consumer:24} {', '.join(subscription.types):24} {subscription.description}")
    for module, reason in found.ignored.items():
        typer.echo(f"ignored: {module}: {reason}", err=True)


if __name__ == "__main__":
    commands.run(app, "./tidings consumers")
