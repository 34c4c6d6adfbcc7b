"""The drill's command line: `python -m tests.drill`."""

import json
import random
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from infra import commands
from tests.drill import catalogue
from tests.drill.counting import count
from tests.drill.replaying import replay
from tests.drill.report import Report
from tests.drill.running import Drill, Plan
from tests.drill.stage import Choice, Stage
from tests.drill.timing import look as timing_of
from tests.drill.verdict import rows
from tests.staged import run, say, staged

app = commands.make("Break everything, one thing after the other, under a load, and count what came of it.")


class Database(StrEnum):
    """The databases to drill on."""

    sqlite = "sqlite"
    postgresql = "postgresql"


class RabbitMQ(StrEnum):
    """The brokers to drill on: the installed one, and a newer one that is unpacked beside it."""

    installed = "3.10"
    newer = "4.x"


@app.command()
def drill(
    *,
    seconds: Annotated[float, typer.Option(help="Begin no fault that would not be over by then.", min=10)] = 90.0,
    seed: Annotated[int | None, typer.Option(help="Decides the order of the faults; by chance if not given.")] = None,
    faults: Annotated[str, typer.Option(help="Only these, joined by commas, each at least once.")] = "",
    database: Annotated[Database, typer.Option(help="On which database.")] = Database.sqlite,
    rabbitmq: Annotated[RabbitMQ, typer.Option(help="On which RabbitMQ.")] = RabbitMQ.installed,
    rate: Annotated[float, typer.Option(help="Registrations per second.", min=0.1, max=500)] = 25.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs to read.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep logs and databases, and say where.")] = False,
) -> int:
    """Inject faults under a load and count what was lost or happened twice; ends with 1 if it is not as promised."""
    seed = random.randrange(1_000_000) if seed is None else seed
    names = [name.strip() for name in faults.split(",") if name.strip()]
    chosen = catalogue.chosen(names, database.value, random.Random(seed))
    plan = Plan(chosen, seconds, seed, each_once=bool(names))
    choice = Choice(database.value, rabbitmq.value, rate)
    with staged(lambda folder: Stage(folder, choice, say), "drill", keep=keep) as stage:
        report = _run(stage, plan, say)
    typer.echo(json.dumps(report.as_json(), indent=2) if as_json else report.table())
    return 0 if report.is_good else commands.FAILED


def _run(stage: Stage, plan: Plan, say: Callable[[str], None]) -> Report:
    running = Drill(stage, plan, say)
    running.run()
    undrained = running.undrained()
    say("replaying the mails that were given up")
    replayed = replay(stage)
    counts, timing = count(stage, running), timing_of(stage, running.phases, running.ended)
    strange = [*counts.strange, *undrained, *timing.strange(), *([] if replayed.is_good else [str(replayed)])]
    names = {phase.name for phase in running.phases}
    not_run = [fault.name for fault in plan.faults if fault.name not in names]
    found = rows(running.phases, counts)
    notes = [str(timing), *([str(replayed)] if replayed.total and replayed.is_good else [])]
    return Report(plan.seed, stage.versions(), stage.choice.rate, found, not_run, strange, notes)


if __name__ == "__main__":
    run(app, "./tidings drill")
