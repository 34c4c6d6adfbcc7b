"""`./tidings events`: every event's story; and those that operators announce, move and cancel."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar, get_args

import typer
from pydantic_core import PydanticCustomError

from infra import commands
from infra.announcing import finding, postponing, times
from infra.announcing.accepting import accept
from infra.announcing.views import Announced, EventItem, EventState
from infra.commands import output
from infra.commands.arguments import Id, Json, Limit, MaybeWhy, data, moment, text
from infra.commands.opened import opened, who
from infra.commands.output import Columns
from infra.database import event_log, held
from infra.database.held import Place
from infra.fitting import event_of
from infra.recovery.deliveries import Delivery
from infra.schemas import commands as schemas
from infra.schemas import showing

app = commands.make("Every event's story; and announcing one, now or later.")
T = TypeVar("T")
#: `source` of what is announced here: no program did.
SOURCE = "/operators"


def _at(value: str) -> datetime:
    try:
        return _checked(times.soon_enough, datetime.fromisoformat(value).astimezone(UTC))
    except (ValueError, OverflowError):
        raise typer.BadParameter("use a time such as 2026-11-22T09:30:00Z.") from None


def _delay(value: str) -> timedelta:
    return _checked(times.span, float(value) if value.isascii() and value.isdecimal() else value)


def _checked(check: Callable[[Any], T], value: object) -> T:
    try:
        return check(value)
    except PydanticCustomError as error:
        raise typer.BadParameter(error.message()) from None


Type = Annotated[str | None, typer.Option("--type", parser=text, metavar="TEXT")]
Subject = Annotated[str | None, typer.Option(parser=text, metavar="TEXT")]
State = Annotated[
    EventState, typer.Option(metavar="|".join(get_args(EventState)), help="Those that wait come in their order.")
]
Since = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="7d|2h|TIME", help="Published at or after; of those that wait: due then."),
]
Until = Annotated[datetime | None, typer.Option(parser=moment, metavar="7d|2h|TIME", help="The same before this time.")]
Cursor = Annotated[str | None, typer.Option(metavar="PLACE", help="Go on where a list ended.")]
At = Annotated[datetime | None, typer.Option(parser=_at, metavar="TIME", help="When; one in the past means at once.")]
After = Annotated[timedelta | None, typer.Option("--delay", parser=_delay, metavar="10m|2h|7d", help="So much later.")]
NewType = Annotated[str, typer.Argument(parser=text, metavar="TYPE", help="Such as user.registered.")]
Data = Annotated[
    dict[str, Any], typer.Option("--data", parser=data, metavar="JSON|@FILE", help="All of the event's data.")
]


@app.command("list")
def list_(  # noqa: PLR0913  # each is an option
    *,
    state: State = "published",
    type_: Type = None,
    subject: Subject = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Show events: the published ones, the newest first; with --state, those that are not, the next first."""
    which: dict[str, Any] = {"type": type_, "subject": subject, "since": since, "until": until}
    if state == "published":
        with opened() as database, database.reading() as session:
            log = event_log.Filter(**which)
            found = finding.log(session, log, before=_position(cursor), limit=limit + 1)
        output.page(_EVENTS, found, limit, lambda each: str(each.position), as_json=as_json)
        return
    with opened() as database, database.reading() as session:
        wanted = held.Filter(state=state, **which)
        rows = finding.outbox(session, wanted, after=_place(cursor), limit=limit + 1)
    places = {item.id: str(place) for place, item in rows}
    items = [item for _, item in rows]
    output.page(_WAITING, items, limit, lambda each: places[each.id], as_json=as_json)


@app.command()
def show(id: Id, as_json: Json = False) -> None:  # noqa: A002  # what people read in the usage
    """Show one event: where it is, and what became of it at each consumer."""
    with opened() as database, database.reading() as session:
        story = finding.story(session, id)
    if as_json:
        output.document(story)
        return
    output.one(story, as_json=False, without=("deliveries",))
    if story.deliveries:
        typer.echo()
        output.table(list(_DELIVERIES), [[cell(each) for cell in _DELIVERIES.values()] for each in story.deliveries])


@app.command()
def publish(  # noqa: PLR0913  # each is an option
    type_: NewType,
    data: Data,
    *,
    subject: Subject = None,
    at: At = None,
    delay: After = None,
    why: MaybeWhy = None,
    as_json: Json = False,
) -> None:
    """Announce an event of any type, now or later; it goes to every consumer of its type."""
    event, due = event_of(type_, data), _due(at, delay)
    said: dict[str, Any] = {"source": SOURCE, "who": who(), "why": why or ""}
    with opened() as database, database.transaction() as session:
        made = accept(session, event, **said, subject=subject, at=due)
    _tell(made, as_json=as_json)


@app.command()
def cancel(id: Id, why: MaybeWhy = None, as_json: Json = False) -> None:  # noqa: A002  # as above
    """Take back an event that waits for its time: it will not be published."""
    with opened() as database, database.transaction() as session:
        postponing.cancel(session, id, who=who(), why=why or "")
    output.done({"id": id}, f"{id} is cancelled: it will not be published.", as_json=as_json)


@app.command()
def move(
    id: Id,  # noqa: A002  # as above
    at: At = None,
    delay: After = None,
    why: MaybeWhy = None,
    as_json: Json = False,
) -> None:
    """Have an event that waits for its time published earlier, later, or (--delay 0) at once."""
    if at is None and delay is None:
        raise typer.BadParameter("say when: --at or --delay.", param_hint="--at")
    due = _due(at, delay)
    with opened() as database, database.transaction() as session:
        moved = postponing.move(session, id, due, who=who(), why=why or "")
    _tell(moved, as_json=as_json)


app.command()(showing.types)
app.command()(showing.impact)
app.command()(schemas.freeze)
app.command()(schemas.check)


def _due(at: datetime | None, delay: timedelta | None) -> datetime | None:
    if at is not None and delay is not None:
        raise typer.BadParameter("give --at or --delay, not both.", param_hint="--delay")
    return times.due(at, delay)


def _tell(event: Announced, *, as_json: bool) -> None:
    when = f"at {output.plain(event.available_at)}" if event.available_at else "at once"
    output.done(event, f"{event.id} is published {when}.", as_json=as_json)


def _position(cursor: str | None) -> int | None:
    if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise _unknown()
    return None if cursor is None else int(cursor)


def _place(cursor: str | None) -> Place | None:
    place = None if cursor is None else Place.read(cursor)
    if cursor is not None and place is None:
        raise _unknown()
    return place


def _unknown() -> typer.BadParameter:
    return typer.BadParameter("use what the list before said.", param_hint="--cursor")


_EVENTS: Columns[EventItem] = {
    "position": lambda each: each.position,
    "id": lambda each: each.id,
    "type": lambda each: each.type,
    "subject": lambda each: each.subject,
    "source": lambda each: each.source,
    "published": lambda each: each.published_at,
}
_WAITING: Columns[EventItem] = {
    "id": lambda each: each.id,
    "type": lambda each: each.type,
    "subject": lambda each: each.subject,
    "source": lambda each: each.source,
    "accepted": lambda each: each.accepted_at,
    "due": lambda each: each.available_at,
    "tries": lambda each: each.attempts,
    "error": lambda each: each.error,
}
_DELIVERIES: Columns[Delivery] = {
    "consumer": lambda each: each.consumer,
    "state": lambda each: each.state,
    "tries": lambda each: each.attempts,
    "first": lambda each: each.first_at,
    "handled": lambda each: each.handled_at,
    "effects": lambda each: ", ".join(f"{effect.kind} {effect.state}" for effect in each.effects),
    "error": lambda each: each.error,
}
