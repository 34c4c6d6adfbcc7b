"""What describes Tidings: `/asyncapi.json` for programs, `/catalogue` and `/docs` for people."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import Response

from gateway.dependencies import Db
from gateway.documents import assets, cached, layout
from gateway.documents.service import Documents
from gateway.problems import NotFound
from gateway.security import public_router

public = public_router("documents")


async def documents(request: Request) -> Documents:
    """Those of this program."""
    found: Documents = request.app.state.documents
    return found


Made = Annotated[Documents, Depends(documents)]


@public.get("/asyncapi.json", include_in_schema=False)
def asyncapi(request: Request, database: Db, made: Made) -> Response:
    """The bus as AsyncAPI 3.0 describes it: channels, messages, and who sends and receives them."""
    return cached.answer(request, made.asyncapi(database), "application/json")


@public.get("/catalogue", include_in_schema=False)
def catalogue(request: Request, database: Db, made: Made) -> Response:
    """All event types, who announces and who takes them; with the token, how the consumers are, and a form to try one.

    Only what the code says is on it. What happens on the bus is for operators, so their browser asks for it itself.
    """
    return cached.answer(request, made.catalogue(database), layout.MEDIA_TYPE, layout.HEADERS)


@public.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The HTTP API in Swagger UI, as FastAPI has it, but with nothing loaded from another server."""
    return cached.answer(request, layout.page("docs.html"), layout.MEDIA_TYPE, layout.SWAGGER_HEADERS)


@public.get("/assets/{name}", include_in_schema=False)
def asset(name: str, request: Request) -> Response:
    """A file that a page loads."""
    if (found := assets.find(name)) is None:
        raise NotFound("There is nothing at this address.")
    return cached.answer(request, *found)
