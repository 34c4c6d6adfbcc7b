"""The running scheduler: APScheduler keeps the time, the emitter writes, a relay stands by."""

import asyncio
import signal

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from infra import probes
from infra.database.engine import Database, connect
from infra.database.migrations import require_current
from infra.database.readiness import Readiness
from infra.relaying.publishing import Publishing
from infra.settings import Settings
from scheduler.emitter import Emitter
from scheduler.timetable import TIMETABLE, Schedule

_log = structlog.get_logger(__name__)


def timekeeper(database: Database, timetable: tuple[Schedule, ...] = TIMETABLE) -> AsyncIOScheduler:
    """APScheduler with our emitter; no fire is dropped for being late (`misfire_grace_time=None`)."""
    scheduler = AsyncIOScheduler(
        timezone="UTC",
        executors={"default": Emitter(database)},
        job_defaults={"misfire_grace_time": None, "coalesce": False, "max_instances": 1},
    )
    for schedule in timetable:
        scheduler.add_job(_fired, schedule.trigger, id=schedule.name, name=schedule.description, args=[schedule])
    return scheduler


async def run(settings: Settings, timetable: tuple[Schedule, ...] = TIMETABLE) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: the database is not migrated, an address is missing, or the port of the probes is taken.
    """
    database = connect(settings.database)
    require_current(database)
    publishing = Publishing(database, settings.rabbitmq, program="scheduler")
    keeper = timekeeper(database, timetable)
    relaying = asyncio.create_task(publishing.run(), name="relay")
    stored = Readiness(database)
    server = probes.serve(lambda: _problems(keeper, relaying) | stored.problems(), port=settings.probe_port)
    keeper.start()
    _log.info("scheduler ready", schedules=len(timetable), probes=server.server_port)
    try:
        await _stopped(relaying)
    finally:
        keeper.shutdown(wait=False)
        relaying.cancel()
        await asyncio.wait([relaying])
        database.close()


def _fired(schedule: Schedule) -> None:
    """What APScheduler believes that it calls; the emitter does it all."""


def _problems(keeper: AsyncIOScheduler, relaying: asyncio.Task[None]) -> dict[str, str]:
    problems = {}
    if not keeper.running:
        problems["clock"] = "stopped"
    if relaying.done():
        problems["relay"] = "stopped"
    return problems


async def _stopped(relaying: asyncio.Task[None]) -> None:
    """Return at a signal; a relay that ended by itself is an error of ours, and ends the program."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, relaying], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if relaying.done():
        relaying.result()
