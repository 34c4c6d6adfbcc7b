"""The running scheduler: the engine decides what is due, a relay stands by."""

import asyncio
import signal

import structlog

from infra import probes
from infra.database.engine import Database, connect
from infra.database.migrations import require_current
from infra.database.readiness import Readiness
from infra.relaying import publishing as relays
from infra.relaying.publishing import Publishing
from infra.schedules.silence import Watch
from infra.settings import Settings
from scheduler.engine import Engine
from scheduler.timetable import Schedule, timetable

_log = structlog.get_logger(__name__)


async def run(settings: Settings, schedules: tuple[Schedule, ...] | None = None) -> None:
    """Run until SIGTERM or SIGINT; without other schedules, with those of the timetable.

    Raises:
        ConfigurationError: the database is not migrated, an address is missing, or the port of the probes is taken.
    """
    database = connect(settings.database)
    require_current(database)
    probes.require_free(settings.probe_port)  # before anything is written, or said
    schedules = timetable(settings.zone) if schedules is None else schedules
    engine = Engine(database, schedules)
    engine.declare()
    publishing = Publishing(database, settings.rabbitmq, program="scheduler")
    relaying = asyncio.create_task(publishing.run(), name="relay")
    stored, silence = Readiness(database), Watch(database)
    server = probes.serve(
        lambda: engine.problems | _stopped_relay(relaying) | (stored.problems() or silence.problems()),
        notes=lambda: engine.notes,
        port=settings.probe_port,
    )
    engine.start()
    _log.info("scheduler ready", schedules=len(schedules), probes=server.server_port)
    try:
        await _stopped(relaying)
    finally:
        await _end(engine, relaying, database)


async def _end(engine: Engine, relaying: asyncio.Task[None], database: Database) -> None:
    await asyncio.to_thread(engine.stop)
    await relays.stop(relaying)
    database.close()


def _stopped_relay(relaying: asyncio.Task[None]) -> dict[str, str]:
    return {"relay": "stopped"} if relaying.done() else {}


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
