"""`/schemas`: what an event's `dataschema` leads to; `/event-types`: which there are, and what depends on one."""

from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from gateway.dependencies import Db
from gateway.documents import cached
from gateway.documents.service import PROGRAMS
from gateway.openapi import problems
from gateway.pages import Cursor, Page, Paging, Text
from gateway.security import operator_router, public_router
from infra.database import consumers
from infra.schemas import impact, listing, serving
from infra.schemas.impact import Impact
from infra.schemas.listing import TypeItem

public, private = public_router("event types"), operator_router("event types")
#: Seconds that whoever has a schema need not ask again.
_KEPT = {"Cache-Control": "public, max-age=300"}
_MEDIA_TYPE = "application/schema+json"
_SCHEMA: dict[int | str, dict[str, Any]] = {
    200: {"content": {_MEDIA_TYPE: {"schema": {"type": "object"}}}, "description": "JSON Schema 2020-12."},
    304: {"description": "It is what you have (`If-None-Match`)."},
}
Type = Annotated[str, Path(max_length=255, examples=["user.registered"])]
Version = Annotated[int, Path(ge=1, le=999_999, examples=[1])]
_cursor = Cursor("event-types", lambda text: text or None)


class TypeFilter(Paging):
    """Which event types."""

    text: Text | None = Field(default=None, description="Those whose name holds this.", examples=["user."])


@public.get(
    "/schemas/{type}/{version}",
    response_class=Response,
    responses=_SCHEMA | problems(404),
)
def schema(type: Type, version: Version, request: Request) -> Response:  # noqa: A002  # the path's own name for it
    """The schema of the data of one version of an event type: what an event's `dataschema` names."""
    return cached.answer(request, serving.find(type, version).encode(), _MEDIA_TYPE, _KEPT)


@private.get("/event-types", response_model=Page[TypeItem], responses=problems(422))
def listed(wanted: Annotated[TypeFilter, Query()], database: Db) -> Response:
    """All event types that this program has a class for, by name."""
    after = _cursor.key(wanted.cursor)
    with database.reading() as session:
        rows = consumers.declared(session)
    found = listing.page(rows, text=wanted.text, after=after, limit=wanted.limit + 1)
    page = _cursor.page(found, wanted.limit, lambda item: item.type)
    return Response(page.model_dump_json(), media_type="application/json")


@private.get("/event-types/{type}", response_model=Impact, responses=problems(404))
def show(type: Type, database: Db) -> Response:  # noqa: A002  # as above
    """What depends on an event type: who announces and takes it, what waits of it and where, and how often it comes."""
    family = type.rpartition(".")[0]
    programs = [each.name for each in PROGRAMS if type in each.types or family in each.types]
    with database.reading() as session:
        found = impact.find(session, type, programs)
    return Response(found.model_dump_json(), media_type="application/json")
