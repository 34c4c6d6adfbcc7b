"""`./tidings consumers check|explain`: what the code alone can tell, without a broker or a database."""

import typer

from infra import commands
from infra.adding import checking
from infra.adding.checking import Report
from infra.commands import output
from infra.commands.arguments import Json
from infra.settings import load


def check(as_json: Json = False) -> int:
    """Import every consumer module and tell what is wrong with it, without a broker or database: exit code 1."""
    report = checking.check(load().further_consumers)
    if as_json:
        output.document(report)
    else:
        _print(report)
    return commands.FAILED if report.problems else 0


def _print(report: Report) -> None:
    for each in report.findings:
        typer.echo(f"{each.level}: {output.plain(each.about)}: {output.plain(each.text)}")
    found = (_count(report.problems, "problem"), _count(len(report.findings) - report.problems, "note"))
    typer.echo(f"{_count(len(report.consumers), 'consumer')}: {', '.join(found)}.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
