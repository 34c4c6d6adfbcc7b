"""A scheduler with the replicas' timetable: `python -m tests.system.replicas.clock`."""

import asyncio

import uvloop

from infra import faults, logs
from infra.schedules.triggers import Every
from infra.settings import load
from scheduler.program import run
from scheduler.timetable import Schedule
from tests.system.replicas.ticking import ReplicaDragged, ReplicaTicked


def ticking(name: str, seconds: int, missed: str) -> Schedule:
    """A schedule whose event says for which due time it is."""
    return Schedule(
        name=name,
        trigger=Every(every=f"{seconds}s"),
        type=ReplicaTicked.TYPE,
        announce=lambda due: ReplicaTicked(schedule=name, due_at=due),
        missed=missed,
        description="Ticks for the replicas.",
    )


#: Each policy once; only the first has a period that is shorter than a replica's start.
TICKING = (
    ticking("replica-all", 1, "all"),
    ticking("replica-latest", 2, "latest"),
    ticking("replica-skip", 3, "skip"),
)
SLOW = Schedule(
    name="replica-slow",
    trigger=Every(every="1s"),
    type=ReplicaDragged.TYPE,
    announce=lambda due: ReplicaDragged(schedule="replica-slow", due_at=due),
    overlap="skip",
    description="Is due more often than its consumer ends.",
)
TIMETABLE = (*TICKING, SLOW)

if __name__ == "__main__":
    settings = load()
    logs.configure(settings, program="scheduler")
    faults.arm(settings.fault)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, TIMETABLE))
