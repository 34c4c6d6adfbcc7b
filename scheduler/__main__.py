"""`python -m scheduler`: run the scheduler, or show its timetable."""

import asyncio
from datetime import UTC, datetime

import typer
import uvloop

from infra import commands, faults, logs
from infra.settings import load
from scheduler.program import run as run_program
from scheduler.timetable import TIMETABLE

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
def list_() -> None:
    """Show the timetable."""
    for schedule in TIMETABLE:
        due = schedule.trigger.get_next_fire_time(None, datetime.now(UTC))
        typer.echo(f"{schedule.name:16} {schedule.trigger!s:32} {due:%Y-%m-%d %H:%M:%S %Z}  {schedule.description}")


if __name__ == "__main__":
    commands.run(app, "./tidings schedules")
