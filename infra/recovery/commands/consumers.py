"""`./tidings consumers pause|resume`, as far as they are about what the database knows."""

from typing import Annotated

import typer

from infra.commands import output
from infra.commands.arguments import Json, Why, text
from infra.commands.opened import opened, who
from infra.recovery import consumers

Name = Annotated[str, typer.Argument(metavar="CONSUMER", help="Its durable name.")]
Type = Annotated[
    str | None, typer.Option("--type", parser=text, metavar="TEXT", help="Those that take events of this type.")
]
After = Annotated[str | None, typer.Option("--cursor", parser=text, metavar="NAME", help="Go on where a list ended.")]


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
