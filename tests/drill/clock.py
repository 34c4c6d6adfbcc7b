"""The scheduler of a drill, with the drill's own schedules beside everybody's: `python -m tests.drill.clock`."""

import asyncio

import uvloop

from infra import faults, logs
from infra.settings import load
from scheduler.program import run
from scheduler.timetable import timetable
from tests.drill.ticking import TICKING

if __name__ == "__main__":
    settings = load()
    logs.configure(settings, program="scheduler")
    faults.arm(settings.fault)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, (*timetable(settings.zone), *TICKING)))
