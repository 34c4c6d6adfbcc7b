"""`./tidings consumers retire`: a consumer leaves; what is left for it is handled, or goes to the dead letters."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from infra.commands.arguments import Json, NoWait, Why
from infra.commands.opened import opened, who
from infra.discovery import Found
from infra.recovery import retiring
from infra.recovery.commands import watching
from infra.recovery.commands.consumers import Name
from infra.settings import Settings, load
from infra.subscriptions import recorded

Drain = Annotated[bool, typer.Option("--drain", help="Workers that still run handle what is left.")]
ToDeadLetters = Annotated[bool, typer.Option("--to-dead-letters", help="What is left goes there, for somebody to see.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def made(discover: Callable[[Settings], Found]) -> Callable[..., int]:
    """The command; `discover` finds the consumers' modules."""

    def retire(  # noqa: PLR0913, PLR0917  # the options that people have
        name: Name,
        why: Why,
        drain: Drain = False,
        to_dead_letters: ToDeadLetters = False,
        yes: Yes = False,
        no_wait: NoWait = False,
        as_json: Json = False,
    ) -> int:
        """Let a consumer leave: it is given nothing new; when nothing is left for it, its queue is deleted.

        Its module must be gone first. `./tidings operations stop` makes it a consumer again before the end.
        """
        if drain == to_dead_letters:
            raise typer.BadParameter("give --drain or --to-dead-letters: what becomes of what is left?")
        ignored = discover(load()).broken
        retiring.require_absent(name, {each.consumer for each in recorded()})
        if not yes:
            _ask(name, as_json=as_json)
        with opened() as database:
            with database.transaction() as session:
                retiring.require_readable(session, name, ignored)
                begun = retiring.start(session, name, drain=drain, who=who(), why=why)
            return watching.follow(database, begun, f"retires {name}", wait=not no_wait, as_json=as_json)

    return retire


def _ask(name: str, *, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise typer.BadParameter("say --yes: nobody can be asked here.", param_hint="--yes")
    typer.confirm(f"{name} leaves for good?", abort=True)
