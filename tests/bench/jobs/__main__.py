"""The command line of the bench of jobs: `python -m tests.bench.jobs`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from infra import commands
from infra.errors import ConfigurationError
from tests.bench.jobs.figures import Round, medians, table
from tests.bench.jobs.measuring import Measuring, Size
from tests.bench.jobs.sides import SIDES, USUAL, JobSide
from tests.bench.jobs.watching import Watch
from tests.bench.phases import in_turns
from tests.bench.servers import Servers
from tests.bench.sides import Running
from tests.staged import run, say, staged, undisturbed

app = commands.make("Measure jobs beside the same task on Celery.")
DATABASES = ("sqlite", "postgresql")


def _one(servers: Servers, side: JobSide, database: str, number: int, size: Size) -> Round:
    place = servers.place(side.name, database, number)
    running = Running(side.side, place)
    label = f"round {number}, {database}, {side.name}"
    try:
        watch = Watch(place.database, side)
        return Measuring(running, watch, servers.cpu, size, lambda text: say(f"{label}: {text}")).measure()
    finally:
        with undisturbed():
            running.stop()


def _chosen(names: list[str] | None, known: tuple[str, ...], usual: tuple[str, ...]) -> list[str]:
    if unknown := [name for name in names or () if name not in known]:
        raise ConfigurationError(f"No {', '.join(unknown)}: choose from {', '.join(known)}.")
    return list(names or usual)


@app.command()
def bench(
    *,
    rounds: Annotated[int, typer.Option(help="Rounds; in each, the sides take turns.", min=1)] = 3,
    count: Annotated[int, typer.Option(help="Jobs per phase.", min=1)] = 2000,
    clients: Annotated[int, typer.Option(help="Connections that post at once.", min=1)] = 32,
    database: Annotated[list[str] | None, typer.Option(help="Only this database; may be repeated.")] = None,
    side: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(SIDES)}; may be repeated.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all rounds there.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep logs and databases, and say where.")] = False,
) -> int:
    """Measure small jobs beside the same task on Celery with RabbitMQ; ends with 1 if ours did them wrong."""
    databases, sides = _chosen(database, DATABASES, DATABASES), _chosen(side, tuple(SIDES), USUAL)
    results: dict[str, dict[str, list[Round]]] = {each: {one: [] for one in sides} for each in databases}
    say("starting RabbitMQ and PostgreSQL")
    with staged(Servers, "jobs", keep=keep) as servers:
        for number, each, one in in_turns(rounds, databases, sides):
            results[each][one].append(_one(servers, SIDES[one], each, number, Size(count, clients)))
    typer.echo(table(results))
    if json_file is not None:
        json_file.write_text(json.dumps(_as_json(results), indent=2) + "\n")
    return int(any(one.wrong for found in results.values() for one in found.get("ours", ())))


def _as_json(results: dict[str, dict[str, list[Round]]]) -> dict[str, object]:
    return {
        database: {
            name: {"median": medians(rounds), "rounds": [asdict(one) for one in rounds]}
            for name, rounds in found.items()
        }
        for database, found in results.items()
    }


if __name__ == "__main__":
    run(app, "python -m tests.bench.jobs")
