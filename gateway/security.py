"""The operator's token: all but the public routes ask for it."""

import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPBearer
from starlette.responses import Response

from gateway.identifiers import canonical
from gateway.json_body import StrictRoute
from gateway.openapi import problems
from gateway.problems import Unauthorized

_bearer = HTTPBearer(
    auto_error=False, scheme_name="operator", description="The operator's token; `./tidings up` says where it is kept."
)


async def operator(request: Request) -> None:
    """Let the operator pass.

    Raises:
        Unauthorized: there is no bearer token, or a wrong one.
    """
    credentials = await _bearer(request)
    token: bytes = request.app.state.token
    if credentials is None:
        raise Unauthorized(
            "Send 'Authorization: Bearer <token>'.", headers={"WWW-Authenticate": 'Bearer realm="tidings"'}
        )
    if not secrets.compare_digest(credentials.credentials.encode(), token):
        wrong = 'Bearer realm="tidings", error="invalid_token"'
        raise Unauthorized("The token is wrong.", headers={"WWW-Authenticate": wrong})


class OperatorRoute(StrictRoute):
    """A route that looks at nothing else of a request before its token, its body least of all."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The strict route, behind the check."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            await operator(request)
            return await handle(request)

        return guarded


class IdRoute(OperatorRoute):
    """A route that takes a token and an id, and nothing else: its function is called with the id and the request.

    FastAPI would look through the query, the headers and the cookies of each request, which costs more than the answer.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function, behind the check."""

        async def guarded(request: Request) -> Response:
            await operator(request)
            answer: Response = await self.endpoint(await canonical(request.path_params["id"]), request)
            return answer

        return guarded


def public_router(tag: str) -> APIRouter:
    """A router for routes that everybody may use."""
    return APIRouter(tags=[tag], route_class=StrictRoute)


def operator_router(tag: str, route: type[OperatorRoute] = OperatorRoute) -> APIRouter:
    """A router for routes that only the operator may use."""
    # The dependency is for the OpenAPI document: it says which header to send, and refuses nobody.
    return APIRouter(tags=[tag], route_class=route, dependencies=[Depends(_bearer)], responses=problems(401))
