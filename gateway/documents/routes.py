"""What describes the bus: `/asyncapi.json` for programs."""

import json

from fastapi import Request
from starlette.responses import Response

from gateway.dependencies import Db
from gateway.documents import cached, service
from gateway.security import public_router
from infra.documents import asyncapi

public = public_router("documents")


@public.get("/asyncapi.json", include_in_schema=False)
def asyncapi_document(request: Request, database: Db) -> Response:
    """The bus as AsyncAPI 3.0 describes it: channels, messages, and who sends and receives them."""
    document = asyncapi.document(service.gathered(database), request.app.state.servers)
    return cached.answer(request, json.dumps(document, ensure_ascii=False).encode(), "application/json")
