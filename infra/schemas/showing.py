"""`./tidings events types` and `impact`: what there is, and what depends on it."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from infra.commands import output
from infra.commands.arguments import Json, Limit, text
from infra.commands.opened import opened
from infra.commands.output import Columns
from infra.database import consumers
from infra.database.tables import Subscription
from infra.schemas import impact as impacts
from infra.schemas import listing
from infra.schemas.impact import Impact, Publisher, Taker
from infra.schemas.listing import TypeItem
from infra.settings import load

Type = Annotated[str, typer.Argument(parser=text, metavar="TYPE", help="Such as user.registered.")]
Holding = Annotated[str | None, typer.Option("--text", parser=text, metavar="TEXT", help="Whose name holds this.")]
AfterType = Annotated[
    str | None, typer.Option("--cursor", parser=text, metavar="TYPE", help="Go on where a list ended.")
]


def types(holding: Holding = None, limit: Limit = 200, cursor: AfterType = None, as_json: Json = False) -> None:
    """Show the event types: their versions, and who takes them as far as there is a database that knows."""
    found = listing.page(_recorded(), text=holding, after=cursor, limit=limit + 1)
    output.page(_TYPES, found, limit, lambda each: each.type, as_json=as_json)


def impact(type_: Type, as_json: Json = False) -> None:
    """Show what depends on an event type: who announces and takes it, what waits of it, and how often it comes."""
    with opened() as database, database.reading() as session:
        found = impacts.find(session, type_)
    if as_json:
        output.document(found)
        return
    output.members(list(_members(found)))
    if found.publishers:
        typer.echo()
        output.table(list(_PUBLISHERS), [[show(each) for show in _PUBLISHERS.values()] for each in found.publishers])
    if found.consumers:
        typer.echo()
        output.table(list(_TAKERS), [[show(each) for show in _TAKERS.values()] for each in found.consumers])


def _recorded() -> Sequence[Subscription] | None:
    settings = load()
    # To look for SQLite's file would make it.
    if settings.database_url is None and not settings.database_file.exists():
        return None
    with opened() as database, database.reading() as session:
        return consumers.declared(session)


def _members(found: Impact) -> Iterator[tuple[str, object]]:
    yield "type", found.type
    yield "description", found.description if found.known else "This program has no class for it."
    yield "versions", ", ".join(map(str, found.versions))
    yield "subject", found.subject
    yield "last published", found.last_published_at
    yield "published", f"{found.last_hour:,} in the last hour, {found.last_day:,} in the last day"
    outbox = found.outbox
    yield "in the outbox", f"{outbox.accepted:,} due, {outbox.waiting:,} for later, {outbox.set_aside:,} set aside"
    letters = ", ".join(f"{count:,} {reason}" for reason, count in found.dead_letters.items())
    yield "dead letters", letters or "none"
    yield "schedules", ", ".join(f"{each.name} ({each.state})" for each in found.schedules) or "none"


def _notes(taker: Taker) -> str:
    notes = {
        "takes all": taker.takes_all,
        "ordered": taker.ordered,
        "guarded": taker.filtered,
        "paused": taker.paused,
        "retiring": taker.retiring,
    }
    return ", ".join(name for name, holds in notes.items() if holds)


_TYPES: Columns[TypeItem] = {
    "type": lambda each: each.type,
    "versions": lambda each: ", ".join(map(str, each.versions)),
    "subject": lambda each: each.subject,
    "consumers": lambda each: "not known" if each.consumers is None else ", ".join(each.consumers),
    "description": lambda each: each.description,
}
_PUBLISHERS: Columns[Publisher] = {
    "announced by": lambda each: each.name,
    "kind": lambda each: each.kind,
    "says so": lambda each: "yes" if each.declared else "no",
    "of the newest": lambda each: each.seen,
}
_TAKERS: Columns[Taker] = {
    "taken by": lambda each: each.name,
    "pending": lambda each: each.pending,
    "retrying": lambda each: each.retrying,
    "in order": lambda each: each.waiting_in_order,
    "dead letters": lambda each: each.dead_letters,
    "notes": _notes,
}
