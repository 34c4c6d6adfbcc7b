"""The scheduler with a timetable that a test can wait for: `python -m tests.system.crash_points.clock`."""

import asyncio

from infra import faults, logs
from infra.schedules.triggers import Every
from infra.settings import load
from scheduler.program import run
from scheduler.timetable import Schedule
from tests.system.crash_points.ticks import CrashClockTicked

SCHEDULE = "crash-clock"
TIMETABLE = (
    Schedule(
        name=SCHEDULE,
        trigger=Every(every="1s"),
        type=CrashClockTicked.TYPE,
        announce=lambda due: CrashClockTicked(due_at=due),
        missed="all",
        missed_limit=1000,
        description="Ticks for the crash points.",
    ),
)

if __name__ == "__main__":
    settings = load()
    logs.configure(settings, program="scheduler")
    faults.arm(settings.fault)
    asyncio.run(run(settings, TIMETABLE))
