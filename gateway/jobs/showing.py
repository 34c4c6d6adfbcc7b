"""`GET /jobs/{id}`: how far a job is, which those who wait for it ask all the time."""

from typing import Any

from fastapi import Request
from starlette.responses import Response

from gateway.documents import cached
from gateway.identifiers import Id
from gateway.jobs.looking import Looking
from gateway.openapi import problems
from gateway.problems import NotFound
from gateway.security import IdRoute, operator_router
from infra.jobs.views import JobView

private = operator_router("jobs", IdRoute)
_TEXT = {"schema": {"type": "string"}}
_SHOWN: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {**_TEXT, "description": "Another one after each change."}}},
    303: {
        "model": JobView,
        "headers": {"Location": {**_TEXT, "description": "Its result."}},
        "description": "It has succeeded, and has a result.",
    },
    304: {"description": "It is as you have it (`If-None-Match`)."},
}


@private.get("/jobs/{id}", response_model=JobView, responses=_SHOWN | problems(404))
async def show(id: Id, request: Request) -> Response:  # noqa: A002  # the path's own name for it
    """One job; once it has succeeded, with the way to its result."""
    looking: Looking = request.app.state.looking
    if (shown := await looking.look(id)) is None:
        raise NotFound("No job has this id.")
    if shown.result is not None:
        return Response(shown.body, 303, {"Location": shown.result}, "application/json")
    return cached.answer(request, shown.body, "application/json")
