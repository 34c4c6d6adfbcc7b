"""`python -m infra`: the part of `./tidings` that runs everything on one machine, and the developer's checks."""

import asyncio
import json
import os
import sys
from typing import Annotated

import typer

from infra import commands
from infra.errors import AlreadyUp
from infra.local import checks, control, install, table
from infra.local.output import Console, LogFiles
from infra.local.places import Places
from infra.local.plan import draw
from infra.local.up import Up, sole
from infra.settings import Settings, load

#: Exit code of `status` when nothing runs, as the Linux Standard Base has it for service scripts.
_NOT_RUNNING = 3

app = commands.make("Run Tidings on this machine, and check its code.")
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Come back when all is ready, and leave it running.")]
Reload = Annotated[bool, typer.Option("--reload", help="Start the programs anew when a file of theirs changes.")]
ToLogs = Annotated[bool, typer.Option("--to-logs", hidden=True)]
Json = Annotated[bool, typer.Option("--json", help="For programs to read, with the passwords of the local servers.")]
Rest = Annotated[list[str] | None, typer.Argument(metavar="[ARGUMENT]...")]
#: Everything behind the command's name is for the program that it runs, options too.
_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


@app.command()
def up(detach: Detach = False, watch: Reload = False, to_logs: ToLogs = False) -> int:
    """Run everything: RabbitMQ and a mail sink (unless their URLs are set), gateway, consumers, scheduler."""
    settings, places = _here()
    places.make()
    if settings.rabbitmq_url is None:
        install.ensure_rabbitmq(_note)
    if detach:
        return _detach(places, watch)
    try:
        with sole(places):
            return _stay(settings, places, watch, to_logs)
    except AlreadyUp as error:
        return _tell_of(places, str(error))


@app.command()
def down() -> None:
    """Stop what `up` runs, and nothing else."""
    stopped = control.down(_here()[1])
    typer.echo(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing of Tidings runs here.")


@app.command()
def status(as_json: Json = False) -> int:
    """Show what runs and where; exit code 3 when nothing does."""
    record = control.running(_here()[1])
    if as_json:
        typer.echo(json.dumps(record.public() if record else {"processes": []}, indent=2))
    else:
        typer.echo(table.status(record) if record else "Tidings does not run here: ./tidings up starts it.")
    return 0 if record else _NOT_RUNNING


@app.command()
def migrate() -> None:
    """Bring the database up to date."""
    # By itself, as no other command should wait for SQLAlchemy.
    os.execv(sys.executable, [sys.executable, "-m", "infra.migrate"])  # noqa: S606  # no shell is what we want


@app.command()
def lint() -> int:
    """Run ruff, mypy and import-linter."""
    return 0 if checks.lint() else commands.FAILED


@app.command("test", context_settings=_PASS_ON)
def run_tests(arguments: Rest = None) -> int:
    """Run all checks and all tests; with arguments, only pytest with these."""
    install.ensure_rabbitmq(_note)
    install.ensure_postgresql(_note)
    install.ensure_faketime(_note)
    install.ensure_chromium(_note)
    passed = [*([] if arguments else [checks.lint()]), checks.run_pytest(arguments or [])]
    return 0 if all(passed) else commands.FAILED


@app.command(context_settings=_PASS_ON)
def bench(arguments: Rest = None) -> int:
    """Measure Tidings beside the same job written plainly; takes some minutes."""
    install.ensure_rabbitmq(_note)
    install.ensure_postgresql(_note)
    return checks.run_bench(arguments or [])


@app.command(context_settings=_PASS_ON)
def drill(arguments: Rest = None) -> int:
    """Break everything under a load, one thing after the other, and count what was lost or happened twice."""
    install.ensure_rabbitmq(_note)
    install.ensure_postgresql(_note)
    return checks.run_drill(arguments or [])


def _here() -> tuple[Settings, Places]:
    """The settings with an absolute state folder, as programs are started elsewhere."""
    folder = load().state_dir.absolute()
    return load(state_dir=folder), Places(folder)


def _stay(settings: Settings, places: Places, watch: bool, to_logs: bool) -> int:
    output = LogFiles(places) if to_logs else Console(colors=sys.stdout.isatty())
    plan = draw(settings, places)
    was_ready = asyncio.run(Up(plan, output, watch=watch).run())
    return 0 if was_ready else commands.INTERRUPTED


def _detach(places: Places, watch: bool) -> int:
    if control.running(places):
        return _tell_of(places, "Tidings runs already here: ./tidings status shows it.")
    code = control.detach(places, watch=watch)
    if code == 0 and (record := control.running(places)):
        typer.echo(table.opening(record, "./tidings down stops it."))
    return code


def _tell_of(places: Places, text: str) -> int:
    record = control.running(places)
    if record and record.is_ready():
        typer.echo(text)
        return 0
    typer.echo(f"tidings: {text} Not all of it is ready.", err=True)
    return commands.FAILED


def _note(text: str) -> None:
    typer.echo(f"tidings: {text}", err=True)


if __name__ == "__main__":
    commands.run(app, "./tidings")
