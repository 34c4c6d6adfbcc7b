"""`./tidings consumers check|explain`: what the code alone can tell, without a broker or a database."""

from typing import Annotated

import typer

from events.envelope import Event
from events.errors import UnknownType
from events.registry import newest
from infra import commands
from infra.adding import checking, explaining
from infra.adding.checking import Report
from infra.adding.explaining import Explanation
from infra.adding.wishes import named
from infra.commands import output
from infra.commands.arguments import Json
from infra.discovery import discover
from infra.settings import load

EventType = Annotated[str, typer.Argument(metavar="TYPE", help="Such as user.registered.")]


def check(as_json: Json = False) -> int:
    """Import every consumer module and tell what is wrong with it, without a broker or database: exit code 1."""
    report = checking.check(load().further_consumers)
    if as_json:
        output.document(report)
    else:
        _print(report)
    return commands.FAILED if report.problems else 0


def explain(type_: EventType, as_json: Json = False) -> None:
    """Tell who gets events of a type and what becomes of one that fails there, and who announces them."""
    cls = _class_of(type_)
    for module, reason in discover(checking.packages(load().further_consumers)).ignored.items():
        typer.echo(f"ignored: {module}: {reason}", err=True)
    found = explaining.explain(cls, type_)
    if as_json:
        output.document(found)
    else:
        _tell(found)


def _class_of(event_type: str) -> type[Event]:
    """Of a member of a family, such as the requests for one kind of jobs, it is the family's."""
    try:
        return newest(event_type)
    except UnknownType:
        return named(event_type)


def _tell(found: Explanation) -> None:
    typer.echo(f"{found.type}, version {found.version} ({found.made_in}): {found.about}")
    made = [f"made in {', '.join(found.places)}"] if found.places else []
    said = [f"published by {', '.join(found.publishers)}"] if found.publishers else []
    typer.echo(f"Announced: {'; '.join([*said, *made]) or 'nowhere in the code; POST /events and schedules may'}.")
    typer.echo(f"{_count(len(found.takers), 'consumer')} {'gets' if len(found.takers) == 1 else 'get'} it.")
    for taker in found.takers:
        typer.echo(f"\n{taker.consumer} ({taker.module}): {taker.description}")
        typer.echo("\n".join(f"  {number}. {step}" for number, step in enumerate(taker.road, 1)))


def _print(report: Report) -> None:
    for each in report.findings:
        typer.echo(f"{each.level}: {output.plain(each.about)}: {output.plain(each.text)}")
    found = (_count(report.problems, "problem"), _count(len(report.findings) - report.problems, "note"))
    typer.echo(f"{_count(len(report.consumers), 'consumer')}: {', '.join(found)}.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
