"""`./tidings clean`: a pass of the cleaning now, beside the one that the timetable asks for each hour."""

from collections.abc import Collection, Mapping
from typing import Annotated

import typer
from pydantic import BaseModel

from infra import faults, logs, retention
from infra.cleaning.cleaning import TABLES, Cleaned, Cleaning
from infra.cleaning.files import STRAY
from infra.commands import output
from infra.commands.arguments import Json, MaybeWhy
from infra.commands.opened import opened, who
from infra.commands.output import Columns
from infra.commands.watching import Line
from infra.database import audit
from infra.jobs import storing
from infra.retention import Retention
from infra.settings import load

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")]
Tables = Annotated[list[str] | None, typer.Option("--table", metavar="TABLE", help="This one alone; several times.")]


class TableView(BaseModel):
    """What became of one table."""

    table: str
    #: How long its rows (or files) are kept, as in the settings; None for what belongs to consumers that are gone.
    kept: str | None
    #: Rows that went, or would go.
    rows: int


class CleanView(BaseModel):
    """What a pass did, or would do."""

    items: list[TableView]
    seconds: float
    #: Consumers because of which events stay in the log that are old enough to go.
    waits_for: list[str]


def clean(dry_run: DryRun = False, table: Tables = None, why: MaybeWhy = None, as_json: Json = False) -> None:
    """Remove the rows that are older than the settings TIDINGS_KEEP_... say, in small steps beside everything else.

    What a sweep or a replay may still need stays. Ctrl-C stops it between two steps; the next pass goes on.
    """
    settings, tables = load(), _chosen(table)
    logs.configure(settings, program="clean")
    faults.arm(settings.fault)
    line = Line()
    with opened() as database:
        cleaning = Cleaning(database, settings.retention, store=storing.store(settings.results))
        work = cleaning.count if dry_run else cleaning.run
        try:
            cleaned = work(tables=tables, tell=lambda name, rows: line.show(f"{name}: {rows:,} rows"))
        finally:
            line.end()
        if not dry_run:
            with database.transaction() as session:
                audit.write(
                    session, who=who(), action="rows.clean", target="database", why=why or "", details=cleaned.removed
                )
    _show(_view(cleaned, tables, settings.retention), "would go" if dry_run else "gone", as_json=as_json)


def _chosen(tables: Collection[str] | None) -> Collection[str]:
    """The effects go with the inbox and never alone."""
    choices = [name for name in TABLES if name != "effect"]
    if unknown := sorted(set(tables or ()) - set(choices)):
        raise typer.BadParameter(f"{unknown[0]!a} is none of {', '.join(choices)}.", param_hint="--table")
    return {*(tables or choices), *(["effect"] if not tables or "inbox" in tables else [])}


def _view(cleaned: Cleaned, tables: Collection[str], kept: Retention) -> CleanView:
    items = [
        TableView(table=name, kept=_kept(kept, name, of), rows=cleaned.removed.get(name, 0))
        for name, of in TABLES.items()
        if name in tables
    ]
    return CleanView(items=items, seconds=cleaned.seconds, waits_for=cleaned.waits_for)


def _kept(kept: Retention, name: str, of: str | None) -> str | None:
    if name == "stray_file":
        return retention.write(STRAY)
    return None if of is None else retention.write(getattr(kept, of))


def _show(view: CleanView, heading: str, *, as_json: bool) -> None:
    if as_json:
        output.document(view)
        return
    columns: Columns[TableView] = {"table": lambda one: one.table, "kept": _said, heading: lambda one: one.rows}
    output.table(list(columns), [[show(one) for show in columns.values()] for one in view.items])
    if view.waits_for:
        names = ", ".join(view.waits_for)
        typer.echo(f"\nOlder events stay until these have settled them: {names}. See ./tidings consumers list.")


_WORDS: Mapping[str | None, str] = {None: "of consumers that are gone", "0": "for ever"}


def _said(one: TableView) -> str:
    return _WORDS.get(one.kept) or str(one.kept)
