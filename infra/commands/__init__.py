"""How every command line of Tidings ends: an exit code, and a plain line for each thing that went wrong."""

import sys
from collections.abc import Iterable
from typing import NoReturn

import typer

from infra.commands.output import plain
from infra.errors import TidingsError

#: Exit codes: something went wrong; the command line makes no sense; Ctrl-C (128 + SIGINT).
FAILED, MISUSED, INTERRUPTED = 1, 2, 130


class Misused(TidingsError):
    """What was typed makes no sense, for a reason that no `--help` tells: the text says which, and what to do."""


def make(description: str) -> typer.Typer:
    """A command line that leaves its errors to `run`."""
    return typer.Typer(help=description, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def run(app: typer.Typer, program: str) -> NoReturn:
    """Run the command that the arguments name, as `program` (what people type), and end this process."""
    sys.exit(code(app, program))


def code(app: typer.Typer, program: str, arguments: list[str] | None = None) -> int:
    """Exit code of one command: what it returns, 0 for None; what a person can mend is a line each on stderr."""
    try:
        return app(arguments, prog_name=program, standalone_mode=False) or 0
    except TidingsError as error:
        return _complain(error.lines, MISUSED if isinstance(error, Misused) else FAILED)
    except typer.TyperException as error:
        return _complain([f"{error.format_message()} See {program} --help."], error.exit_code)
    except typer.Abort:
        return INTERRUPTED


def _complain(lines: Iterable[str], exit_code: int) -> int:
    for line in lines:
        typer.echo(f"tidings: {plain(' '.join(line.split()))}", err=True)
    return exit_code
