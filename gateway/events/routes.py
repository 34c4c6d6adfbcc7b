"""`/events`: every event's whole story."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from gateway.dependencies import Db
from gateway.events import service
from gateway.events.schemas import EventFilter, EventItem, EventStory
from gateway.identifiers import Id
from gateway.openapi import problems
from gateway.pages import Page
from gateway.security import operator_router

private = operator_router("events")


@private.get("/events/{id}", response_model=EventStory, responses=problems(404))
def show(id: Id, database: Db) -> Response:  # noqa: A002  # the path's own name for it
    """One event: where it is, and what became of it at each consumer."""
    with database.reading() as session:
        return Response(service.story(session, id).model_dump_json(), media_type="application/json")


@private.get("/events", response_model=Page[EventItem], responses=problems(422))
def events(wanted: Annotated[EventFilter, Query()], database: Db) -> Response:
    """The published events, the newest first."""
    with database.reading() as session:
        return Response(service.newest(session, wanted).model_dump_json(), media_type="application/json")
