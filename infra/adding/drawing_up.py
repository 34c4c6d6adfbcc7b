"""`./tidings consumers new`: the files of a consumer, and what to do next."""

from pathlib import Path
from typing import Annotated

import typer

from events.jobs import JobRequested
from infra import discovery
from infra.adding import checking, drafting, writing
from infra.adding.wishes import Wish, chosen
from infra.commands import output
from infra.commands.arguments import Json
from infra.documents.examples import example_of
from infra.settings import load

NewName = Annotated[str, typer.Argument(metavar="NAME", help="Its durable name, such as sms: its queue's name, too.")]
On = Annotated[list[str] | None, typer.Option("--on", metavar="TYPE", help="An event type it takes; several times.")]
All = Annotated[bool, typer.Option("--all", help="It takes every event.")]
Async = Annotated[bool, typer.Option("--async", help="Its handler is async def.")]
InBatches = Annotated[bool, typer.Option("--batch", help="Its handler gets many events at once.")]
Ordered = Annotated[bool, typer.Option("--ordered", help="Events of one subject come in order, even through retries.")]
OfJobs = Annotated[bool, typer.Option("--job", help="It is a kind of jobs: long work, with progress and a result.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the files instead of writing them.")]


def new(  # noqa: PLR0913  # each is an option
    name: NewName,
    *,
    on: On = None,
    is_all: All = False,
    is_async: Async = False,
    is_batch: InBatches = False,
    is_ordered: Ordered = False,
    is_job: OfJobs = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write a consumer or a kind of jobs, and its test, to be filled: consumers/NAME.py, tests/consumers/test_….py."""
    discovery.discover(checking.packages(load().further_consumers))  # who has taken which name
    wish = Wish(name, chosen(on or (), is_all=is_all, is_job=is_job), is_async, is_batch, is_ordered, is_job)
    wish.check()
    texts = writing.files(wish, writing.ROOT)
    if not dry_run:
        writing.write(texts)
    _tell(wish, {_short(path): text for path, text in reversed(texts.items())}, dry_run=dry_run, as_json=as_json)


def _short(path: Path) -> str:
    return path.relative_to(writing.ROOT).as_posix()


def _tell(wish: Wish, texts: dict[str, str], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        output.document({"consumer": wish.name, "types": _types(wish), "files": texts, "written": not dry_run})
    elif dry_run:
        typer.echo("\n".join(f"--- {path}\n{text}" for path, text in texts.items()).rstrip())
    else:
        typer.echo(_next(wish, *texts))


def _types(wish: Wish) -> list[str] | None:
    if wish.is_job:
        return [JobRequested.type_of(wish.name)]
    return None if wish.classes is None else [cls.TYPE for cls in wish.classes]


def _next(wish: Wish, module: str, test: str) -> str:
    """What was done, and what comes now."""
    lines = {
        f"edit {module}": "what it does; `up --reload` takes up whatever you save",
        f"./tidings test {test}": "its test, without a broker",
        f"./tidings consumers show {wish.name}": "its queue, its rules, how far it is",
        **_further(wish),
    }
    width = max(map(len, lines))
    said = "\n".join(f"  {step.ljust(width)}  {what}" for step, what in lines.items())
    return f"Written: {module} and {test}\nNext:\n{said}{_gap(wish, test)}"


def _further(wish: Wish) -> dict[str, str]:
    if wish.is_job:
        return {f"./tidings jobs run {wish.name} steps=20 --wait": "one of its jobs"}
    return {f"./tidings consumers backfill {wish.name} --since 7d": "what happened before it was there"}


def _gap(wish: Wish, test: str) -> str:
    if wish.is_job:
        return ""
    cls = drafting.sample_class(wish)
    if example_of(cls) is None:
        return f"\nOf {cls.__name__} no event could be made up: put its fields into {test}."
    return ""
