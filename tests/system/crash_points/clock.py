"""The scheduler with a timetable that a test can wait for: `python -m tests.system.crash_points.clock`."""

import asyncio

from infra import faults, logs
from infra.settings import load
from scheduler.program import run
from scheduler.timetable import Schedule, every
from tests.system.crash_points.ticks import CrashClockTicked

SCHEDULE = "crash-clock"
TIMETABLE = (
    Schedule(SCHEDULE, every(seconds=1), lambda due: CrashClockTicked(due_at=due), "Ticks for the crash points."),
)

if __name__ == "__main__":
    settings = load()
    logs.configure(settings, program="scheduler")
    faults.arm(settings.fault)
    asyncio.run(run(settings, TIMETABLE))
