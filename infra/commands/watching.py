"""Waiting for the end of what a command began, with a line that says how far it is; Ctrl-C ends only the waiting."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import typer
from pydantic import BaseModel

from infra.commands import FAILED, INTERRUPTED, output

#: Seconds between two looks; a terminal shows each, a file or pipe only what changed, this many seconds apart.
_EVERY, _EVERY_IN_A_FILE = 0.3, 5.0
#: How long nothing may move before the command says so.
QUIET = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look showed."""

    line: str
    view: BaseModel
    has_ended: bool
    is_well: bool
    #: When it last moved.
    moved_at: datetime


def watch(look: Callable[[], Look], afterwards: str, as_json: bool) -> int:
    """Look until it has ended; gives the exit code, 0 when it ended well. `afterwards` says what to do after Ctrl-C."""
    line = Line()
    try:
        while not (seen := look()).has_ended:
            line.show(seen.line)
            if datetime.now(UTC) - seen.moved_at > QUIET:
                line.warn("Nothing moves: does everything run? ./tidings status tells.")
            pause(_EVERY)
    except KeyboardInterrupt:
        line.end()
        typer.echo(f"It goes on behind: {afterwards}", err=True)
        return INTERRUPTED
    line.end()
    output.done(seen.view, seen.line, as_json=as_json)
    return 0 if seen.is_well else FAILED


def pause(seconds: float) -> None:
    """Wait between two looks."""
    time.sleep(seconds)


class Line:
    """One line on standard error that is written over, or, where that is no terminal, a few lines."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._shown = ""
        self._at = 0.0
        self._warned = False

    def show(self, text: str) -> None:
        """Show how far it is now."""
        if text == self._shown:
            return
        if self._is_terminal:
            typer.echo(f"\r{text.ljust(len(self._shown))}", err=True, nl=False)
        elif time.monotonic() - self._at < _EVERY_IN_A_FILE and self._at:
            return
        else:
            typer.echo(text, err=True)
        self._shown, self._at = text, time.monotonic()

    def warn(self, text: str) -> None:
        """Say something that matters, once."""
        if not self._warned:
            self.end()
            typer.echo(text, err=True)
        self._warned = True

    def end(self) -> None:
        """Let what comes next begin on a line of its own."""
        if self._is_terminal and self._shown:
            typer.echo(err=True)
        self._shown = ""
