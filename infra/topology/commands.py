"""`./tidings topology plan|apply|drift`: what the code wants beside what the broker has."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated

import typer

from infra import commands, logs
from infra.commands import output
from infra.commands.arguments import Json
from infra.commands.opened import opened
from infra.commands.watching import Line
from infra.discovery import Found
from infra.rabbitmq.blocking import BlockingPublisher
from infra.rabbitmq.management import Management
from infra.settings import Settings, load
from infra.subscriptions import recorded
from infra.topology.applying import Applying
from infra.topology.comparing import Difference
from infra.topology.looking import Looked, look

#: Exit code of `plan` where something would change, and of `drift` where something has.
DIFFERS = 2
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Orphans = Annotated[bool, typer.Option("--delete-orphans", help="Delete queues that nobody wants and that are empty.")]


def made(discover: Callable[[Settings], Found]) -> typer.Typer:
    """The commands; `discover` finds the consumers' modules."""
    app = commands.make("What the code wants beside what the broker has: exchanges, queues, arguments, bindings.")

    @app.command()
    def plan(as_json: Json = False) -> int:
        """Say what `apply` would do; exit code 0 when that is nothing, 2 when something would change."""
        settings = load()
        found(settings)
        looked = _looked(settings, with_code=True)
        _show(looked.differences, as_json=as_json)
        _conclude(looked, "./tidings topology apply puts it right.", as_json=as_json)
        return DIFFERS if looked.differs else 0

    @app.command()
    def drift(as_json: Json = False) -> int:
        """Say what of the broker is not as the database has it, without the code; exit code 2 when something is not."""
        looked = _looked(load(), with_code=False)
        _show(looked.differences, as_json=as_json)
        _conclude(looked, "./tidings topology plan says what to do.", as_json=as_json)
        return DIFFERS if looked.differs else 0

    @app.command()
    def apply(yes: Yes = False, delete_orphans: Orphans = False, as_json: Json = False) -> int:
        """Put the broker right; exit code 1 when something is left. Interrupted, a second call completes it.

        A queue with other arguments is made anew: its messages move to a helper and back, and its consumer pauses for
        some seconds.
        """
        settings = load()
        found(settings)
        return _put_right(settings, yes=yes, delete_orphans=delete_orphans, as_json=as_json)

    def found(settings: Settings) -> None:
        for module, reason in discover(settings).ignored.items():
            typer.echo(f"ignored: {module}: {reason}", err=True)

    return app


def _looked(settings: Settings, *, with_code: bool) -> Looked:
    with opened() as database:
        management = Management(settings.management, settings.rabbitmq)
        return look(database, management, recorded() if with_code else None)


def _put_right(settings: Settings, *, yes: bool, delete_orphans: bool, as_json: bool) -> int:
    logs.configure(settings, program="topology")
    looked = _looked(settings, with_code=True)
    left = looked.differences
    if looked.differs or (delete_orphans and any(each.kind == "orphan" for each in left)):
        _ask(looked, yes=yes, as_json=as_json)
        left = _apply(settings, delete_orphans=delete_orphans)
    _show(left, as_json=as_json)
    counted = sum(each.counts for each in left)
    if not as_json:
        typer.echo(f"{counted} left: see above what to do." if counted else "The broker is as it should be.")
    return commands.FAILED if counted else 0


def _ask(looked: Looked, *, yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise typer.BadParameter("say --yes: nobody can be asked here.", param_hint="--yes")
    _show(looked.differences, as_json=False)
    typer.confirm("Put it right?", abort=True)


def _apply(settings: Settings, *, delete_orphans: bool) -> list[Difference]:
    management = Management(settings.management, settings.rabbitmq)
    line = Line()
    with ExitStack() as stack:
        database = stack.enter_context(opened())
        publisher = BlockingPublisher(settings.rabbitmq, name="topology")
        stack.callback(publisher.close)
        stack.callback(line.end)
        return Applying(database, publisher, management, line.show).apply(recorded(), delete_orphans=delete_orphans)


def _show(found: list[Difference], *, as_json: bool) -> None:
    if as_json:
        output.document({"items": found, "next": None})
        return
    for each in found:
        typer.echo(output.plain(f"{each.kind:<10} {each.text}"))


def _conclude(looked: Looked, then: str, *, as_json: bool) -> None:
    if not as_json:
        many = sum(each.counts for each in looked.differences)
        typer.echo(f"{many} to put right: {then}" if many else "The broker is as it should be.")
