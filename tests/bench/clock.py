"""The scheduler with hundreds of schedules of 1 s to 1 min: `python -m tests.bench.clock 500`."""

import asyncio
import sys

import uvloop

from events.clock import HeartbeatTicked
from infra import logs
from infra.schedules.triggers import Every
from infra.settings import load
from scheduler.program import run
from scheduler.timetable import Schedule


def timetable(number: int) -> tuple[Schedule, ...]:
    """As many of each period from 1 to 60 seconds."""
    return tuple(
        Schedule(
            name=f"schedule-{each:04}",
            trigger=Every(every=1 + each % 60),
            type=HeartbeatTicked.TYPE,
            announce=lambda due: HeartbeatTicked(due_at=due),
            missed="all",
            missed_limit=1000,
            description="Ticks for the bench.",
        )
        for each in range(number)
    )


if __name__ == "__main__":
    settings = load()
    logs.configure(settings, program="scheduler")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, timetable(int(sys.argv[1]))))
