"""`./tidings schedules list`, `show`, `runs` and `gaps`."""

import json
from collections import Counter
from collections.abc import Iterator

import typer

from infra.commands import output
from infra.commands.arguments import After, Json, Limit
from infra.commands.opened import opened
from infra.commands.output import Columns
from infra.database import ledger, schedules
from infra.schedules import listing
from infra.schedules.commands.arguments import (
    BeforeDue,
    Kind,
    Name,
    RunsState,
    Since,
    Until,
)
from infra.schedules.views import GapView, LastRunView, RunView, ScheduleView


def show_all(wanted: schedules.Filter, limit: int, after: str | None, *, as_json: bool) -> None:
    """Print schedules by name."""
    with opened() as database, database.reading() as session:
        found = listing.page(session, wanted, after=after, limit=limit + 1)
    output.page(_SCHEDULES, found, limit, lambda each: each.name, as_json=as_json)


def show(name: Name, as_json: Json = False) -> None:
    """Show one schedule: when it fires next, and what became of its last run."""
    with opened() as database, database.reading() as session:
        found = listing.find(session, name)
    if as_json:
        output.document(found)
    else:
        output.members([*_members(found)])


def runs(  # noqa: PLR0913, PLR0917  # the options that people have
    name: Name,
    state: RunsState = None,
    kind: Kind = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: BeforeDue = None,
    as_json: Json = False,
) -> None:
    """Show what became of its due times, the newest first; of a schedule that was removed, too."""
    if since and until and since >= until:
        raise typer.BadParameter("it must be later than --since.", param_hint="--until")
    wanted = ledger.Filter(state=state, kind=kind, since=since, until=until)
    with opened() as database, database.reading() as session:
        found = listing.runs(session, name, wanted, before=cursor, limit=limit + 1)
    output.page(_RUNS, found, limit, lambda each: each.due_at.isoformat(), as_json=as_json)


def gaps(name: Name, limit: Limit = 50, cursor: After = None, as_json: Json = False) -> None:
    """Show spans in which it did not fire, what was found last first."""
    with opened() as database, database.reading() as session:
        found = listing.gaps(session, name, before=cursor, limit=limit + 1)
    output.page(_GAPS, found, limit, lambda each: each.id, as_json=as_json)


def _members(found: ScheduleView) -> Iterator[tuple[str, object]]:
    """All that is known of a schedule, a line each."""
    for name in ("name", "description", "origin", "state", "type"):
        yield name, getattr(found, name)
    yield "data", "made by code, from the due time" if found.data is None else json.dumps(found.data)
    yield "when", found.when
    yield "trigger", json.dumps(found.trigger)
    yield "missed", f"{found.missed} ({found.missed_limit} at most)" if found.missed == "all" else found.missed
    yield "overlap", found.overlap
    for fire in found.next:
        yield "next", f"{output.plain(fire.at)}  {fire.local}"
    if found.pause:
        yield "paused", f"{output.plain(found.pause.since)} by {found.pause.by}: {found.pause.why}"
    for name in ("silent_since", "retired_at"):
        if moment := getattr(found, name):
            yield name.replace("_", " "), moment
    if found.last_run:
        yield "last run", _last(found.last_run)
        for each in found.last_run.consumers:
            yield "", f"{each.consumer}: {each.state}" + (f": {each.error}" if each.error else "")
    yield "missed in all", found.missed_count
    yield "counts from", found.counts_from
    yield "made", found.created_at


def _last(run: LastRunView) -> str:
    late = f", {run.lateness:.3f} s late" if run.lateness is not None else ""
    return f"{output.plain(run.due_at)} {run.kind}, {run.state}{late}; event {run.event_id}"


def _outcomes(run: LastRunView | None) -> str:
    states = Counter(each.state for each in run.consumers) if run else {}
    return ", ".join(f"{number} {state}" for state, number in sorted(states.items()))


_SCHEDULES: Columns[ScheduleView] = {
    "name": lambda each: each.name,
    "state": lambda each: each.state,
    "when": lambda each: each.when,
    "type": lambda each: each.type,
    "next": lambda each: each.next[0].at if each.next else None,
    "last run": lambda each: each.last_run and each.last_run.due_at,
    "late": lambda each: (
        None if each.last_run is None or each.last_run.lateness is None else f"{each.last_run.lateness:.3f}"
    ),
    "consumers": lambda each: _outcomes(each.last_run),
    "missed": lambda each: each.missed_count or None,
    "made by": lambda each: each.origin,
    "description": lambda each: each.description,
}
_RUNS: Columns[RunView] = {
    "due": lambda each: each.due_at,
    "kind": lambda each: each.kind,
    "state": lambda each: each.state,
    "at": lambda each: each.fired_at,
    "late": lambda each: None if each.lateness is None else f"{each.lateness:.3f}",
    "event": lambda each: each.event_id,
    "note": lambda each: each.note,
}
_GAPS: Columns[GapView] = {
    "id": lambda each: each.id,
    "reason": lambda each: each.reason,
    "first due": lambda each: each.first_due_at,
    "last due": lambda each: each.last_due_at,
    "due": lambda each: each.due,
    "fired": lambda each: each.fired,
    "policy": lambda each: each.policy,
    "found": lambda each: each.found_at,
}
