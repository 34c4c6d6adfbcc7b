"""`/jobs`: heavy work that is asked for, watched, and called off; `/job-kinds`: what there is to ask for."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

from fastapi import Header, Query
from sqlmodel import Session
from starlette.responses import Response

from events.jobs import JobRequested
from gateway.dependencies import Db, Operator
from gateway.idempotency import Answer, OncePerKey
from gateway.identifiers import Id
from gateway.jobs.schemas import JobFilter, KindFilter, NewJob
from gateway.openapi import problems
from gateway.pages import Cursor, Page, Text, by_id
from gateway.problems import Problem
from gateway.security import operator_router
from gateway.writing import write
from infra import metrics
from infra.errors import NotNow
from infra.jobs import cancelling, finding, starting, views
from infra.jobs.finding import Filter, KindView, Stored
from infra.jobs.views import JobView
from infra.subscriptions import is_name

private = operator_router("jobs")
#: Seconds after which a client may look again.
_LOOK_AGAIN = {"Retry-After": "1"}
_SOURCE = "/gateway"
_TEXT = {"schema": {"type": "string"}}
_LOCATION = {"Location": {**_TEXT, "description": "The job."}}
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    200: {"model": JobView, "headers": _LOCATION, "description": "Of a kind that joins: the job that is open already."},
    202: {"headers": {**_LOCATION, "Retry-After": {**_TEXT, "description": "Seconds until a look is worth it."}}},
}
_cursor = Cursor("jobs", by_id)
_kinds = Cursor("job-kinds", lambda text: text if is_name(text) else None)


class JobOpen(Problem, kind="job-open", status=409):
    """A job of this kind with the same parameters is open."""


@private.post(
    "/jobs",
    status_code=202,
    response_model=JobView,
    responses=_ACCEPTED | problems(400, 404, 409, 413, 415, 422, 503),
)
async def start(
    wanted: NewJob,
    once: OncePerKey,
    who: Operator,
    traceparent: Annotated[str | None, Header(description="W3C trace context; handed on with the job.")] = None,
) -> Response:
    """Have a job done."""
    said = {"source": _SOURCE, "who": who, "why": wanted.why or ""}

    def work(session: Session) -> Answer:
        try:
            made = starting.order(session, wanted.kind, wanted.parameters, **said, traceparent=traceparent)
        except starting.AlreadyOpen as error:
            raise _open(error) from None
        body = views.as_json(made.stored or finding.find(session, made.id))
        place = {"Location": f"/jobs/{made.id}"}
        return Answer(202, body, place | _LOOK_AGAIN) if made.is_new else Answer(200, body, place)

    answer = await once.run(work)
    if answer.status == 202 and not answer.replayed:
        metrics.EVENTS_ACCEPTED.labels(type=JobRequested.type_of(wanted.kind)).inc()
    return answer.response()


@private.get("/jobs", response_model=Page[JobView], responses=problems(422))
def listed(wanted: Annotated[JobFilter, Query()], database: Db) -> Response:
    """All jobs, the newest first."""
    before = _cursor.key(wanted.cursor)
    asked = Filter(**wanted.model_dump(exclude={"limit", "cursor"}))
    with database.reading() as session:
        found = finding.page(session, asked, before=before, limit=wanted.limit + 1)
    page = _cursor.page([views.as_dict(each) for each in found], wanted.limit, lambda item: str(item["id"]))
    return Response(page.model_dump_json(), media_type="application/json")


@private.delete("/jobs/{id}", response_model=JobView, responses=problems(404, 409, 422, 503))
async def cancel(
    id: Id,  # noqa: A002  # the path's own name for it
    database: Db,
    who: Operator,
    why: Annotated[Text | None, Query(description="For the audit: a DELETE has no body.")] = None,
) -> Response:
    """Call a job off: at once while it waits; one that runs ends at its next look (`cancelling`)."""
    said = {"source": _SOURCE, "who": who, "why": why or ""}
    stored = await _when_free(partial(write, database, lambda session: cancelling.cancel(session, id, **said)))
    return Response(views.as_json(stored), media_type="application/json")


@private.get("/job-kinds", response_model=Page[KindView], responses=problems(422))
def kinds(wanted: Annotated[KindFilter, Query()], database: Db) -> Response:
    """What jobs can be asked for, by name, each with the JSON Schema of its parameters."""
    after = _kinds.key(wanted.cursor)
    with database.reading() as session:
        found = finding.kinds(session, text=wanted.text, after=after, limit=wanted.limit + 1)
    page = _kinds.page(found, wanted.limit, lambda item: item.name)
    return Response(page.model_dump_json(), media_type="application/json")


async def _when_free(look: Callable[[], Awaitable[Stored]]) -> Stored:
    for _ in range(cancelling.LOOKS - 1):
        with suppress(NotNow):
            return await look()
        await asyncio.sleep(cancelling.PAUSE)
    return await look()


def _open(error: starting.AlreadyOpen) -> JobOpen:
    place = f"/jobs/{error.job_id}"
    return JobOpen(str(error), headers={"Link": f'<{place}>; rel="related"'}, job=place)
