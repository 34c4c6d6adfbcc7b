"""`/consumers`: who takes which events, how far each has come, and how to pause one."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Path, Query
from sqlmodel import Session
from starlette.responses import Response

from gateway.consumers.schemas import ConsumerFilter, Why
from gateway.dependencies import Db, Operator
from gateway.idempotency import Answer, OncePerKey
from gateway.openapi import problems
from gateway.pages import Cursor, Page
from gateway.security import operator_router
from infra.recovery import consumers
from infra.recovery.consumers import ConsumerView
from infra.subscriptions import is_name

private = operator_router("consumers")
Name = Annotated[str, Path(description="The consumer's durable name.", examples=["welcome-email"])]
_DEED = problems(400, 404, 409, 413, 415, 422, 503)
_cursor = Cursor("consumers", lambda text: text if is_name(text) else None)


@private.get("/consumers", response_model=Page[ConsumerView], responses=problems(422))
def listed(wanted: Annotated[ConsumerFilter, Query()], database: Db) -> Response:
    """All recorded consumers, by name."""
    after = _cursor.key(wanted.cursor)
    with database.reading() as session:
        found = consumers.newest(session, state=wanted.state, type=wanted.type, after=after, limit=wanted.limit + 1)
    page = _cursor.page(found, wanted.limit, lambda item: item.name)
    return Response(page.model_dump_json(), media_type="application/json")


@private.get("/consumers/{name}", response_model=ConsumerView, responses=problems(404))
def show(name: Name, database: Db) -> Response:
    """One consumer."""
    with database.reading() as session:
        return Response(consumers.find(session, name).model_dump_json(), media_type="application/json")


@private.post("/consumers/{name}/pause", response_model=ConsumerView, responses=_DEED)
async def pause(name: Name, wanted: Why, once: OncePerKey, who: Operator) -> Response:
    """Have a consumer take no messages until it is resumed: they stay in its queue. What is in flight ends."""
    return await _done(once, lambda session: consumers.pause(session, name, who=who, why=wanted.why))


@private.post("/consumers/{name}/resume", response_model=ConsumerView, responses=_DEED)
async def resume(name: Name, wanted: Why, once: OncePerKey, who: Operator) -> Response:
    """Let a consumer take messages again, whoever paused it."""
    return await _done(once, lambda session: consumers.resume(session, name, who=who, why=wanted.why))


async def _done(once: OncePerKey, deed: Callable[[Session], ConsumerView]) -> Response:
    return (await once.run(lambda session: Answer(200, deed(session).model_dump_json(), {}))).response()
