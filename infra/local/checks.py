"""What `./tidings lint` and `./tidings test` run: a line for each with its seconds, and all that a failing one said."""

import subprocess
import sys
import time
from collections.abc import Sequence

import typer

from infra.local.plan import ROOT
from infra.settings import environment_without_settings

#: Name and arguments to Python of each check that needs no server.
LINTS: dict[str, list[str]] = {
    "ruff check": ["-m", "ruff", "check"],
    "ruff format": ["-m", "ruff", "format", "--check"],
    "mypy": ["-m", "mypy"],
    "consumers": ["-m", "consumers", "check"],
    "import-linter": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
}
#: Each with servers of its own; more than two cores can keep busy, as tests wait for much. A fourth made it no faster,
#: and the drill slower than it promises.
_PROCESSES = "3"


def lint() -> bool:
    """Run all lints, also after one that failed, and tell whether none did."""
    passed = [_lint(name, arguments) for name, arguments in LINTS.items()]
    return all(passed)


def run_pytest(arguments: Sequence[str]) -> bool:
    """Run the tests, in sight, and tell whether they passed; all of them in several processes."""
    began = time.monotonic()
    passed = _python(["-m", "pytest", *(arguments or ["-n", _PROCESSES])]).returncode == 0
    _tell("pytest", passed, began)
    return passed


def run_bench(arguments: Sequence[str]) -> int:
    """Run the measurements, in sight; gives their exit code."""
    return _python(["-m", "tests.bench", *arguments]).returncode


def run_drill(arguments: Sequence[str]) -> int:
    """Run the drill, in sight; gives its exit code."""
    return _python(["-m", "tests.drill", *arguments]).returncode


def _lint(name: str, arguments: list[str]) -> bool:
    began = time.monotonic()
    done = _python(arguments, stdout=subprocess.PIPE)
    if done.returncode != 0:
        typer.echo(done.stdout)
    _tell(name, done.returncode == 0, began)
    return done.returncode == 0


def _python(arguments: Sequence[str], stdout: int | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  # commands of this file
        [sys.executable, *arguments], cwd=ROOT, env=environment_without_settings(), text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.STDOUT if stdout else None,
    )  # fmt: skip


def _tell(name: str, passed: bool, began: float) -> None:
    typer.echo(f"{name:<14} {'ok' if passed else 'FAILED':<6} {time.monotonic() - began:6.1f} s")
