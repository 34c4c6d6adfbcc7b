"""What describes Tidings: `/asyncapi.json` for programs, `/catalogue` and `/docs` for people."""

import json

from fastapi import Request
from starlette.responses import Response

from gateway.dependencies import Db
from gateway.documents import assets, cached, layout, service
from gateway.problems import NotFound
from gateway.security import public_router
from infra.documents import asyncapi, catalogue

public = public_router("documents")


@public.get("/asyncapi.json", include_in_schema=False)
def asyncapi_document(request: Request, database: Db) -> Response:
    """The bus as AsyncAPI 3.0 describes it: channels, messages, and who sends and receives them."""
    document = asyncapi.document(service.gathered(database), request.app.state.servers)
    return cached.answer(request, json.dumps(document, ensure_ascii=False).encode(), "application/json")


@public.get("/catalogue", include_in_schema=False)
def catalogue_page(request: Request, database: Db) -> Response:
    """All event types, who announces and who takes them; with the token, how the consumers are, and a form to try one.

    Only what the code says is on it. What happens on the bus is for operators, so their browser asks for it itself.
    """
    body = layout.page("catalogue.html", entries=catalogue.entries(service.gathered(database)))
    return cached.answer(request, body, layout.MEDIA_TYPE, layout.HEADERS)


@public.get("/docs", include_in_schema=False)
async def docs_page(request: Request) -> Response:
    """The HTTP API in Swagger UI, as FastAPI has it, but with nothing loaded from another server."""
    return cached.answer(request, layout.page("docs.html"), layout.MEDIA_TYPE, layout.SWAGGER_HEADERS)


@public.get("/assets/{name}", include_in_schema=False)
def asset(name: str, request: Request) -> Response:
    """A file that a page loads."""
    if (found := assets.find(name)) is None:
        raise NotFound("There is nothing at this address.")
    return cached.answer(request, *found)
