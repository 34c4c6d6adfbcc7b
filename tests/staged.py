"""Programs that people start to see something happen: servers of their own, in a folder that goes when they go."""

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

import typer

from infra import commands


class Staged(Protocol):
    """What is started for a run, and stopped after it."""

    def start(self) -> None:
        """Start all of it, and wait until it answers."""

    def stop(self) -> None:
        """Stop what was started."""


S = TypeVar("S", bound=Staged)


@contextmanager
def staged(make: Callable[[Path], S], name: str, *, keep: bool) -> Iterator[S]:
    """Made for a folder, and started; the folder stays if it is to be kept, or if something went wrong."""
    folder = Path(tempfile.mkdtemp(prefix=f"tidings-{name}-"))
    made = make(folder)
    try:
        made.start()
        yield made
    except BaseException:
        keep = True
        raise
    finally:
        with undisturbed():
            made.stop()
        say(f"logs and databases are in {folder}") if keep else shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let an interruption wait meanwhile: half a clean-up would leave servers behind."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def say(text: str) -> None:
    """To whoever watches, beside the output."""
    typer.echo(f"{time.strftime('%H:%M:%S')} {text}", err=True)


def run(app: typer.Typer, program: str) -> NoReturn:
    """As other commands; one that is told to end (TERM) ends its servers too, as one that is interrupted does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    commands.run(app, program)
