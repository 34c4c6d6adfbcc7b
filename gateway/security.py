"""The operator's token: all but the public routes ask for it."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from gateway.json_body import StrictRoute
from gateway.openapi import problems
from gateway.problems import Unauthorized

_bearer = HTTPBearer(
    auto_error=False, scheme_name="operator", description="The operator's token; `./tidings up` says where it is kept."
)


async def operator(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Let the operator pass.

    Raises:
        Unauthorized: there is no bearer token, or a wrong one.
    """
    token: bytes = request.app.state.token
    if credentials is None:
        raise Unauthorized(
            "Send 'Authorization: Bearer <token>'.", headers={"WWW-Authenticate": 'Bearer realm="tidings"'}
        )
    if not secrets.compare_digest(credentials.credentials.encode(), token):
        wrong = 'Bearer realm="tidings", error="invalid_token"'
        raise Unauthorized("The token is wrong.", headers={"WWW-Authenticate": wrong})


def public_router(tag: str) -> APIRouter:
    """A router for routes that everybody may use."""
    return APIRouter(tags=[tag], route_class=StrictRoute)


def operator_router(tag: str) -> APIRouter:
    """A router for routes that only the operator may use."""
    return APIRouter(tags=[tag], route_class=StrictRoute, dependencies=[Depends(operator)], responses=problems(401))
