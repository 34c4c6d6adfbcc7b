"""The scheduler with the timetable of the code, but all of it each second: `python -m tests.system.timed.clock`."""

import asyncio
from dataclasses import replace

from infra import logs
from infra.schedules.triggers import Every
from infra.settings import load
from scheduler.program import run
from scheduler.timetable import timetable

if __name__ == "__main__":
    settings = load()
    logs.configure(settings, program="scheduler")
    each_second = tuple(replace(line, trigger=Every(every="1s")) for line in timetable(settings.zone))
    asyncio.run(run(settings, each_second))
