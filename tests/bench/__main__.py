"""The bench's command line: `python -m tests.bench`."""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from infra import commands
from tests.bench.effects import Watch
from tests.bench.figures import Round
from tests.bench.measuring import Measuring, Size
from tests.bench.phases import in_turns
from tests.bench.report import as_json, table
from tests.bench.schedules import measure
from tests.bench.servers import Servers
from tests.bench.sides import OURS, PLAIN, Running, Side
from tests.staged import run, say, staged, undisturbed

app = commands.make("Measure Tidings beside the same job written plainly.")
SIDES = {side.name: side for side in (OURS, PLAIN)}


class Database(StrEnum):
    """The databases to measure on."""

    sqlite = "sqlite"
    postgresql = "postgresql"


class SideName(StrEnum):
    """The sides to measure."""

    ours = "ours"
    plain = "plain"


def _one(servers: Servers, side: Side, database: str, number: int, size: Size) -> Round:
    place = servers.place(side.name, database, number)
    running = Running(side, place)
    label = f"round {number}, {database}, {side.name}"
    try:
        watch = Watch(place.database, servers.mails)
        measuring = Measuring(running, watch, servers.cpu, size, lambda text: say(f"{label}: {text}"))
        return measuring.measure()
    finally:
        with undisturbed():
            running.stop()


def _time(servers: Servers, databases: Sequence[str], schedules: int) -> int:
    for each in databases:
        say(f"{schedules} schedules, {each}: a minute")
        for line in measure(servers.place("ours", each, 1), schedules):
            typer.echo(f"{each}: {line}")
    return 0


@app.command()
def bench(
    *,
    rounds: Annotated[int, typer.Option(help="Rounds; in each, the sides take turns.", min=1)] = 3,
    count: Annotated[int, typer.Option(help="Registrations per phase.", min=1)] = 2000,
    clients: Annotated[int, typer.Option(help="Connections that post at once.", min=1)] = 32,
    quick: Annotated[bool, typer.Option("--quick", help="One round of 300 registrations.")] = False,
    database: Annotated[list[Database] | None, typer.Option(help="Only this database; may be repeated.")] = None,
    side: Annotated[list[SideName] | None, typer.Option(help="Only this side; may be repeated.")] = None,
    schedules: Annotated[int, typer.Option(help="Measure one scheduler with so many schedules instead.", min=0)] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all rounds there.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep logs and databases, and say where.")] = False,
) -> int:
    """Measure Tidings beside the same job on FastAPI, SQLModel and stock Dramatiq; ends with 1 if ours did it wrong."""
    size = Size(registrations=300, idle=30, clients=clients) if quick else Size(count, clients=clients)
    rounds = 1 if quick else rounds
    databases = [each.value for each in database or Database]
    sides = [SIDES[each.value] for each in side or SideName]
    results: dict[str, dict[str, list[Round]]] = {each: {one.name: [] for one in sides} for each in databases}
    say("starting RabbitMQ, PostgreSQL and the mail sink")
    with staged(Servers, "bench", keep=keep) as servers:
        if schedules:
            return _time(servers, databases, schedules)
        for number, each, one in in_turns(rounds, databases, sides):
            results[each][one.name].append(_one(servers, one, each, number, size))
    typer.echo(table(results))
    if json_file is not None:
        settings = {"registrations": size.registrations, "idle": size.idle, "clients": clients, "rounds": rounds}
        json_file.write_text(json.dumps(as_json(results, settings), indent=2) + "\n")
    return int(any(one.wrong for sides_of in results.values() for one in sides_of.get("ours", ())))


if __name__ == "__main__":
    run(app, "./tidings bench")
