"""`./tidings consumers list|pause|resume`, as far as they are about what the database knows."""

from typing import Annotated, get_args

import typer

from infra.commands import output
from infra.commands.arguments import Json, Why, text
from infra.commands.opened import opened, who
from infra.commands.output import Columns
from infra.recovery import consumers
from infra.recovery.consumers import ConsumerState, ConsumerView

Name = Annotated[str, typer.Argument(metavar="CONSUMER", help="Its durable name.")]
State = Annotated[ConsumerState | None, typer.Option(metavar="|".join(get_args(ConsumerState)))]
Type = Annotated[
    str | None, typer.Option("--type", parser=text, metavar="TEXT", help="Those that take events of this type.")
]
After = Annotated[str | None, typer.Option("--cursor", parser=text, metavar="NAME", help="Go on where a list ended.")]


def show(state: ConsumerState | None, type_: str | None, limit: int, after: str | None, *, as_json: bool) -> None:
    """Print the recorded consumers, by name."""
    with opened() as database, database.reading() as session:
        found = consumers.newest(session, state=state, type=type_, after=after, limit=limit + 1)
    output.page(_CONSUMERS, found, limit, lambda each: each.name, as_json=as_json)


def pause(name: Name, why: Why, as_json: Json = False) -> None:
    """Have a consumer take no messages until it is resumed: they stay in its queue. What is in flight ends."""
    with opened() as database, database.transaction() as session:
        consumer = consumers.pause(session, name, who=who(), why=why)
    output.done(consumer, f"{name} is paused: every process of it follows within two seconds.", as_json=as_json)


def resume(name: Name, why: Why, as_json: Json = False) -> None:
    """Let a consumer take messages again, whoever paused it."""
    with opened() as database, database.transaction() as session:
        consumer = consumers.resume(session, name, who=who(), why=why)
    output.done(consumer, f"{name} goes on within two seconds.", as_json=as_json)


_CONSUMERS: Columns[ConsumerView] = {
    "name": lambda each: each.name,
    "state": lambda each: each.state,
    "types": lambda each: ", ".join(each.types),
    "settled": lambda each: f"{each.settled} of {each.last}",
    "lag": lambda each: f"{each.lag_events}, {each.lag_seconds:.0f} s" if each.lag_events else "",
    "waiting": lambda each: f"{each.waiting_events} of {each.waiting_subjects}" if each.waiting_events else "",
    "resent": lambda each: each.resent,
    "paused since": lambda each: each.pause and each.pause.since,
    "because": lambda each: each.pause and each.pause.reason,
    "description": lambda each: each.description,
}
