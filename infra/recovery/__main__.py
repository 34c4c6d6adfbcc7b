"""`python -m infra.recovery`: the part of `./tidings` with which operators put right what went wrong."""

from infra import commands
from infra.recovery.commands import audit, dead, operations, sweep

app = commands.make("Put right what went wrong.")
app.add_typer(dead.app, name="dead")
app.add_typer(operations.app, name="operations")
app.add_typer(audit.app, name="audit")
app.command()(sweep.sweep)


if __name__ == "__main__":
    commands.run(app, "./tidings")
