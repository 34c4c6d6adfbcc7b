"""`/events`: every event's whole story; and those that operators announce, move and cancel."""

from typing import Annotated, Any

from fastapi import Header, Query
from sqlmodel import Session
from starlette.responses import Response

from gateway.dependencies import Db, Operator
from gateway.events import service
from gateway.events.schemas import EventFilter, Move, NewEvent
from gateway.idempotency import Answer, OncePerKey
from gateway.identifiers import Id
from gateway.openapi import problems
from gateway.pages import Page, Text
from gateway.security import operator_router
from gateway.writing import write
from infra import metrics
from infra.announcing import finding, postponing, times
from infra.announcing.accepting import accept
from infra.announcing.views import Announced, EventItem, EventStory
from infra.fitting import event_of

private = operator_router("events")

_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "headers": {
            "Location": {"schema": {"type": "string"}, "description": "The event."},
            "Link": {"schema": {"type": "string"}, "description": "rel=monitor: the event, and what became of it."},
        }
    }
}


@private.get("/events/{id}", response_model=EventStory, responses=problems(404, 410))
def show(id: Id, database: Db) -> Response:  # noqa: A002  # the path's own name for it
    """One event: where it is, and what became of it at each consumer."""
    with database.reading() as session:
        return _json(finding.story(session, id).model_dump_json())


@private.get("/events", response_model=Page[EventItem], responses=problems(422))
def events(wanted: Annotated[EventFilter, Query()], database: Db) -> Response:
    """The published events, the newest first; with another `state`, those that are not, the next first."""
    with database.reading() as session:
        return _json(service.listed(session, wanted).model_dump_json())


@private.post(
    "/events", status_code=202, response_model=Announced, responses=_ACCEPTED | problems(400, 413, 415, 422, 503)
)
async def announce(
    wanted: NewEvent,
    once: OncePerKey,
    who: Operator,
    traceparent: Annotated[str | None, Header(description="W3C trace context; handed on with the event.")] = None,
) -> Response:
    """Announce an event of any type, now or later."""
    event, at = event_of(wanted.type, wanted.data), times.due(wanted.available_at, wanted.delay)
    said = {"source": "/gateway", "who": who, "why": wanted.why or ""}

    def work(session: Session) -> Answer:
        made = accept(session, event, **said, subject=wanted.subject, at=at, traceparent=traceparent)
        place = f"/events/{made.id}"
        return Answer(202, made.model_dump_json(), {"Location": place, "Link": f'<{place}>; rel="monitor"'})

    answer = await once.run(work)
    if not answer.replayed:
        metrics.EVENTS_ACCEPTED.labels(type=event.TYPE).inc()
    return answer.response()


@private.patch("/events/{id}", response_model=Announced, responses=problems(400, 404, 409, 410, 413, 415, 422, 503))
async def move(id: Id, wanted: Move, database: Db, who: Operator) -> Response:  # noqa: A002  # as above
    """Have an event that waits for its time published earlier, later, or at once."""
    at, why = times.due(wanted.available_at, wanted.delay), wanted.why or ""
    moved = await write(database, lambda session: postponing.move(session, id, at, who=who, why=why))
    return _json(moved.model_dump_json())


@private.delete("/events/{id}", status_code=204, responses=problems(404, 409, 410, 422, 503))
async def cancel(
    id: Id,  # noqa: A002  # the path's own name for it
    database: Db,
    who: Operator,
    why: Annotated[Text | None, Query(description="For the audit: a DELETE has no body.")] = None,
) -> Response:
    """Take back an event that waits for its time: it will not be published."""
    await write(database, lambda session: postponing.cancel(session, id, who=who, why=why or ""))
    return Response(status_code=204)


def _json(body: str) -> Response:
    return Response(body, media_type="application/json")
