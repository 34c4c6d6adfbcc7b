"""`./tidings dead`: look at dead letters, and close, mend or replay them."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from infra import commands
from infra.commands import output
from infra.commands.arguments import After, Id, Ids, Json, Limit, Why, data
from infra.commands.opened import opened, who
from infra.commands.output import Columns
from infra.database import dead_letters
from infra.database.dead_letters import Filter
from infra.errors import NotKnown, NotPossible
from infra.recovery import discarding, editing
from infra.recovery.commands.arguments import AfterGroup, States, filtered, states
from infra.recovery.commands.replay import replay
from infra.recovery.letters import find
from infra.recovery.views import GroupView, LetterInFull, LetterView

app = commands.make("What was given up: look at it, replay it, mend it, or close it.")
app.command()(replay)
Data = Annotated[
    dict[str, Any], typer.Option("--data", parser=data, metavar="JSON|@FILE", help="All of the event's data.")
]


@app.command("list")
@filtered
def list_(wanted: Filter, state: States = None, limit: Limit = 50, cursor: After = None, as_json: Json = False) -> None:
    """Show dead letters, the last kept first; without --state, those that are open."""
    with opened() as database, database.reading() as session:
        rows = dead_letters.page(session, replace(wanted, states=states(state)), before=cursor, limit=limit + 1)
    letters = [LetterView.model_validate(row) for row in rows]
    output.page(_LETTERS, letters, limit, lambda letter: letter.id, as_json=as_json)


@app.command()
@filtered
def groups(
    wanted: Filter, state: States = None, limit: Limit = 50, cursor: AfterGroup = None, as_json: Json = False
) -> None:
    """Show dead letters by consumer and cause, the group that failed last first."""
    with opened() as database, database.reading() as session:
        rows = dead_letters.groups(session, replace(wanted, states=states(state)), before=cursor, limit=limit + 1)
    places = {row.fingerprint: row.cursor for row in rows}
    found = [GroupView.model_validate(row) for row in rows]
    output.page(_GROUPS, found, limit, lambda group: places[group.fingerprint], as_json=as_json)


@app.command()
def show(id: Id, as_json: Json = False) -> None:  # noqa: A002  # what people read in the usage
    """Show one dead letter with its message."""
    with opened() as database, database.reading() as session:
        letter = LetterInFull.of(find(session, id))
    output.one(letter, as_json=as_json)


@app.command()
def discard(ids: Ids, why: Why, as_json: Json = False) -> None:
    """Close letters without handling their events: all that are named, or none when one cannot be."""
    closed = []
    with opened() as database, database.transaction() as session:
        for each in dict.fromkeys(ids):
            try:
                closed.append(LetterView.model_validate(discarding.discard(session, each, who=who(), why=why)))
            except (NotKnown, NotPossible) as error:
                raise type(error)(f"{each}: {error} Nothing was discarded.") from None
    output.done({"items": closed}, f"Discarded: {len(closed)}.", as_json=as_json)


@app.command()
def edit(id: Id, data: Data, why: Why, as_json: Json = False) -> None:  # noqa: A002  # as above
    """Announce the event anew with other data, and close the letter."""
    with opened() as database, database.transaction() as session:
        made = editing.edit(session, id, data, who=who(), why=why)
    output.done({"event_id": made}, f"The new event is {made}.", as_json=as_json)


_LETTERS: Columns[LetterView] = {
    "id": lambda letter: letter.id,
    "state": lambda letter: letter.state,
    "consumer": lambda letter: letter.consumer,
    "type": lambda letter: letter.type,
    "reason": lambda letter: letter.reason,
    "tries": lambda letter: letter.attempts,
    "failed last": lambda letter: letter.last_failed_at,
    "error": lambda letter: letter.error,
}
_GROUPS: Columns[GroupView] = {
    "fingerprint": lambda group: group.fingerprint,
    "count": lambda group: group.count,
    "consumer": lambda group: group.consumer,
    "cause": lambda group: group.exception or group.reason,
    "where": lambda group: group.frame,
    "first": lambda group: group.first_at,
    "last": lambda group: group.last_at,
    "sample": lambda group: group.sample,
}
