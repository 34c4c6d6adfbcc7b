"""The gateway put together: routes, problems, the relay beside them. Nothing connects before the lifespan begins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import FastAPI

from gateway import health
from gateway.activity import routes as activity
from gateway.audit import routes as audit
from gateway.body_limit import BodyLimit
from gateway.consumers import backfills, retiring, waiting
from gateway.consumers import routes as consumers
from gateway.dead_letters import routes as dead_letters
from gateway.documents import routes as documents
from gateway.documents.service import Documents
from gateway.event_types import routes as event_types
from gateway.events import routes as events
from gateway.failures import Failures
from gateway.handlers import HANDLERS
from gateway.jobs import results, showing, stream
from gateway.jobs import routes as jobs
from gateway.jobs.looking import Looking
from gateway.jobs.watching import Watching
from gateway.methods import HeadAsGet
from gateway.openapi import ANY_PROBLEM, describe
from gateway.operations import routes as operations
from gateway.readiness import Readiness
from gateway.relaying import Relaying
from gateway.schedules import routes as schedules
from gateway.users import routes as users
from infra.database.engine import Database
from infra.jobs import storing
from infra.relaying import publishing
from infra.settings import Settings

_log = structlog.get_logger(__name__)
#: Looked at one after the other: what is asked for most often comes first.
_ROUTERS = (
    users.public,
    showing.private,
    jobs.private,
    users.private,
    events.private,
    activity.private,
    consumers.private,
    retiring.private,
    backfills.private,
    waiting.private,
    dead_letters.private,
    operations.private,
    schedules.private,
    results.private,
    stream.private,
    audit.private,
    documents.public,
    event_types.public,
    event_types.private,
    health.public,
    health.private,
)
_DESCRIPTION = "Accepts facts, and shows what became of them. A request is answered when its event is safely kept."


def create_app(settings: Settings, database: Database, relay: Relaying | None) -> FastAPI:
    """The ASGI application; with a relay, it runs as long as the application does."""
    app = FastAPI(
        title="Tidings",
        version="1",
        description=_DESCRIPTION,
        lifespan=partial(_lifespan, relay=relay),
        exception_handlers=HANDLERS,  # type: ignore[arg-type]  # each handler takes its own kind of exception
        responses=ANY_PROBLEM,
        redirect_slashes=False,
        docs_url=None,  # ours needs no other server: gateway.documents
        redoc_url=None,
    )
    app.state.database = database
    app.state.token = settings.token.encode()
    app.state.documents = Documents(settings)
    app.state.results = storing.store(settings.results)
    app.state.looking = Looking(database)
    app.state.watching = Watching(database)
    app.state.readiness = Readiness(database, relay)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    for router in _ROUTERS:
        app.include_router(router)
    for middleware in (HeadAsGet, BodyLimit, Failures):  # the last one added is the outermost
        app.add_middleware(middleware)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI, *, relay: Relaying | None) -> AsyncIterator[None]:
    if relay is None:
        yield
        return
    relaying = asyncio.create_task(_run(relay, app.state.readiness), name="relay")
    try:
        yield
    finally:
        await publishing.stop(relaying)


async def _run(relay: Relaying, readiness: Readiness) -> None:
    try:
        await relay.run()
    except Exception:  # noqa: BLE001  # registrations are accepted all the same, and another program's relay takes over
        _log.exception("relay broke")
        readiness.relay_broke = True
