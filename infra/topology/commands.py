"""`./tidings topology plan|apply|drift`: what the code wants beside what the broker has."""

from collections.abc import Callable

import typer

from infra import commands
from infra.commands import output
from infra.commands.arguments import Json
from infra.commands.opened import opened
from infra.discovery import Found
from infra.rabbitmq.management import Management
from infra.settings import Settings, load
from infra.subscriptions import recorded
from infra.topology.comparing import Difference
from infra.topology.looking import Looked, look

#: Exit code of `plan` where something would change, and of `drift` where something has.
DIFFERS = 2


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

    def found(settings: Settings) -> None:
        for module, reason in discover(settings).ignored.items():
            typer.echo(f"ignored: {module}: {reason}", err=True)

    return app


def _looked(settings: Settings, *, with_code: bool) -> Looked:
    with opened() as database:
        management = Management(settings.management, settings.rabbitmq)
        return look(database, management, recorded() if with_code else None)


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
