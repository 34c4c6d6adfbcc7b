"""`./tidings jobs`: which there are, running and cancelling one, and fetching its result."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import BaseModel

from infra import commands
from infra.commands import output, watching
from infra.commands.arguments import After, Id, Json, Limit, MaybeWhy, data, moment, text
from infra.commands.opened import opened, who
from infra.commands.output import Columns
from infra.commands.watching import Look, watch
from infra.database.engine import Database
from infra.errors import NotKnown, NotNow
from infra.jobs import cancelling, fetching, finding, spelling, starting, storing
from infra.jobs.finding import Filter, KindView
from infra.jobs.views import JobState, JobView, as_dict, is_over
from infra.settings import load

app = commands.make("Long work: which jobs there are and how far they are, running and cancelling one, its result.")
#: As the envelope of a request says where it comes from.
SOURCE = "/commands/jobs"


def _pair(value: str) -> str:
    name, found, _ = value.partition("=")
    if not found or not name:
        raise typer.BadParameter("say it as NAME=VALUE, such as days=7, or give --parameters.")
    return value


OfKind = Annotated[str | None, typer.Option("--kind", parser=text, metavar="KIND")]
State = Annotated[JobState | None, typer.Option(metavar="|".join(get_args(JobState)))]
By = Annotated[str | None, typer.Option("--requested-by", parser=text, metavar="WHO", help="A user, or a consumer.")]
Since = Annotated[datetime | None, typer.Option(parser=moment, metavar="7d|2h|TIME", help="Asked for at or after.")]
Until = Annotated[datetime | None, typer.Option(parser=moment, metavar="7d|2h|TIME", help="Asked for before.")]
Kind = Annotated[str, typer.Argument(parser=text, metavar="KIND", help="As ./tidings jobs kinds lists them.")]
MaybeKind = Annotated[str | None, typer.Argument(metavar="KIND", help="What one of them takes.")]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(parser=_pair, metavar="NAME=VALUE", help="Its parameters, such as days=7."),
]
Parameters = Annotated[
    dict[str, Any] | None, typer.Option("--parameters", parser=data, metavar="JSON|@FILE", help="All of them at once.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for its end, and show how far it is.")]
AfterName = Annotated[str | None, typer.Option("--cursor", metavar="NAME", help="Go on where a list ended.")]
FileName = Annotated[str | None, typer.Option("--name", metavar="NAME", help="Which of its files; else the main one.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there.")]


@app.command("list")
def list_(  # noqa: PLR0913  # each is an option
    *,
    kind: OfKind = None,
    state: State = None,
    requested_by: By = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: After = None,
    as_json: Json = False,
) -> None:
    """Show jobs, the newest first."""
    wanted = Filter(kind=kind, state=state, requested_by=requested_by, since=since, until=until)
    with opened() as database, database.reading() as session:
        rows = finding.page(session, wanted, before=cursor, limit=limit + 1)
    views = [_view(row) for row in rows]
    output.page(_JOBS, views, limit, lambda each: each.id, as_json=as_json)


@app.command()
def show(id: Id, as_json: Json = False) -> None:  # noqa: A002  # what people read in the usage
    """Show one job: how far it is, why it failed, and the files of its result."""
    with opened() as database, database.reading() as session:
        view = _view(finding.find(session, id))
    output.one(view, as_json=as_json, without=("files",))
    if view.files and not as_json:
        typer.echo()
        output.table(["file", "media type", "bytes", "kept until"], [_file(each) for each in view.files])


@app.command()
def run(  # noqa: PLR0913  # each is an option
    kind: Kind,
    pairs: Pairs = None,
    *,
    parameters: Parameters = None,
    wait: Wait = False,
    why: MaybeWhy = None,
    as_json: Json = False,
) -> int:
    """Have a job done: ./tidings jobs run activity-report since=2026-11-01 --wait"""
    with opened() as database:
        with database.transaction() as session:
            given = {**(parameters or {}), **_spelled(finding.kinds(session), kind, pairs or ())}
            made = starting.order(session, kind, given, source=SOURCE, who=who(), why=why or "")
        if wait:
            return _follow(database, made.id, as_json=as_json)
        view = _found(database, made.id)
    is_new = f"{view.id} is {view.state}" if made.is_new else f"{view.id} is {view.state} already, and is the same"
    output.done(view, f"{is_new}: ./tidings jobs show {view.id}", as_json=as_json)
    return 0


@app.command()
def cancel(id: Id, wait: Wait = False, why: MaybeWhy = None, as_json: Json = False) -> int:  # noqa: A002  # as above
    """Cancel a job: at once if it waits; one that is worked on ends at its next look."""
    with opened() as database:
        _cancel(database, id, why or "")
        if wait:
            return _follow(database, id, as_json=as_json, well="cancelled")
        view = _found(database, id)
    will = "is cancelled." if is_over(view.state) else f"is to end at its next look: ./tidings jobs show {id}"
    output.done(view, f"{id} {will}", as_json=as_json)
    return 0


@app.command()
def result(id: Id, name: FileName = None, to: Output = None) -> None:  # noqa: A002  # as above
    """Write a file of a job's result to the standard output, or to --output."""
    settings = load()
    with opened() as database, database.reading() as session:
        file = fetching.file_of(finding.find(session, id), name)
    store = storing.store(settings.results)
    if to is None:
        fetching.spill(store, file)
    else:
        fetching.save(store, file, to)
        typer.echo(f"{to}: {file.file_size} bytes, {file.file_media_type}", err=True)


@app.command()
def kinds(kind: MaybeKind = None, limit: Limit = 50, cursor: AfterName = None, as_json: Json = False) -> None:
    """Show the kinds of jobs; of one of them, what it takes and gives."""
    with opened() as database, database.reading() as session:
        rows = finding.kinds(session, after=None if kind else cursor, limit=None if kind else limit + 1)
    if kind is None:
        output.page(_KINDS, rows, limit, lambda each: each.name, as_json=as_json)
        return
    one = _named(rows, kind)
    output.one(one, as_json=as_json, without=("parameters", "result"))
    if not as_json and (taken := list(spelling.parameters(one.parameters))):
        typer.echo()
        rows_of = [(each.name, each.kind, each.default or "required", each.description) for each in taken]
        output.table(["parameter", "type", "default", "about"], rows_of)


def _spelled(known: Sequence[KindView], kind: str, pairs: Sequence[str]) -> dict[str, Any]:
    return spelling.read(_named(known, kind).parameters, pairs) if pairs else {}


def _named(known: Sequence[KindView], kind: str) -> KindView:
    for each in known:
        if each.name == kind:
            return each
    names = ", ".join(each.name for each in known) or "none: is a consumers program with one declared?"
    raise NotKnown(f"No kind of jobs has the name {kind!r}; there are {names}.")


def _cancel(database: Database, job_id: str, why: str) -> None:
    for look in range(1, cancelling.LOOKS + 1):
        try:
            with database.transaction() as session:
                cancelling.cancel(session, job_id, source=SOURCE, who=who(), why=why)
            return
        except NotNow:
            if look == cancelling.LOOKS:
                raise
        watching.pause(cancelling.PAUSE)


def _follow(database: Database, job_id: str, *, as_json: bool, well: JobState = "succeeded") -> int:
    def look() -> Look:
        view = _found(database, job_id)
        is_at_work = view.state == "running"  # it need not say how far it is, so nothing moves and all is well
        moved_at = datetime.now(UTC) if is_at_work else max(view.updated_at, view.retry_at or view.updated_at)
        return Look(_line(view), view, is_over(view.state), view.state == well, moved_at)

    return watch(look, f"./tidings jobs cancel {job_id} ends it.", as_json)


def _line(view: JobView) -> str:
    """How far it is, and in the end what became of it and what to do."""
    said = f", {view.progress_text}" if view.progress_text else ""
    match view.state:
        case "succeeded":
            return f"succeeded{f': ./tidings jobs result {view.id}' if view.result else ''}"
        case "failed" | "cancelled":
            return f"{view.state}: {view.error}" if view.error else view.state
        case "retrying":
            return f"retrying, try {view.attempts} failed: {view.error}"
        case _:
            return f"{view.state}{', to be cancelled' if view.cancelling else ''}: {view.progress:.0%}{said}"


def _found(database: Database, job_id: str) -> JobView:
    with database.reading() as session:
        return _view(finding.find(session, job_id))


def _view(stored: finding.Stored) -> JobView:
    return JobView.model_validate(as_dict(stored))


def _file(file: BaseModel) -> Sequence[object]:
    said = file.model_dump()
    until = "removed" if said["expired"] else said["expires_at"] or "for ever"
    return said["name"], said["media_type"], said["size"], until


_JOBS: Columns[JobView] = {
    "id": lambda each: each.id,
    "kind": lambda each: each.kind,
    "state": lambda each: f"{each.state}, to be cancelled" if each.cancelling else each.state,
    "progress": lambda each: f"{each.progress:.0%}",
    "says": lambda each: each.progress_text,
    "tries": lambda each: each.attempts,
    "by": lambda each: each.requested_by,
    "asked for": lambda each: each.created_at,
    "ended": lambda each: each.finished_at,
    "error": lambda each: each.error,
}
_KINDS: Columns[KindView] = {
    "name": lambda each: each.name,
    "state": lambda each: each.state,
    "gives": lambda each: each.media_type,
    "unique": lambda each: each.unique,
    "at once": lambda each: each.concurrency,
    "seconds": lambda each: each.timeout,
    "about": lambda each: each.description,
}
