"""Exceptions become problem details here; these are FastAPI's exception handlers."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.methods import allowed
from gateway.problems import (
    Conflict,
    Gone,
    MethodNotAllowed,
    NotFound,
    Problem,
    Unavailable,
    field_error,
    invalid_fields,
    unnamed,
)
from infra import errors
from infra.errors import DatabaseUnavailable, NotKnown, NotNow, NotPossible
from infra.fitting import DoesNotFit

Handler = Callable[[Request, Any], Awaitable[Response]]
#: Seconds after which a client may try again.
RETRY_AFTER = "5"


async def problem(_: Request, error: Problem) -> Response:
    """A problem of ours."""
    return error.response()


async def http_error(request: Request, error: HTTPException) -> Response:
    """What Starlette and FastAPI raise by themselves: no such path, no such method."""
    if error.status_code == NotFound.status:
        return NotFound("There is nothing at this address.").response()
    if error.status_code == MethodNotAllowed.status:
        return _other_method(request)
    return unnamed(error.status_code, error.headers)


async def invalid_request(_: Request, error: RequestValidationError) -> Response:
    """Values that do not fit the route's declaration."""
    return invalid_fields([field_error(one) for one in error.errors()]).response()


async def database_away(_: Request, __: DatabaseUnavailable) -> Response:
    """The database is away; what exactly is wrong is for the log and for readiness."""
    return Unavailable("The database cannot be reached.", headers={"Retry-After": RETRY_AFTER}).response()


async def not_known(_: Request, error: NotKnown) -> Response:
    """An operator named something that does not exist."""
    return NotFound(str(error)).response()


async def gone(_: Request, error: errors.Gone) -> Response:
    """An operator named something that is there no more."""
    return Gone(str(error)).response()


async def not_possible(_: Request, error: NotPossible) -> Response:
    """An operator asked for what cannot be done now."""
    return Conflict(str(error)).response()


async def not_now(_: Request, error: NotNow) -> Response:
    """An operator asked for what can be done in a moment."""
    return Unavailable(str(error), headers={"Retry-After": "1"}).response()


async def does_not_fit(_: Request, error: DoesNotFit) -> Response:
    """The type and the data of an event in the body do not go together."""
    found = [{"loc": ("body", *place), "type": kind, "msg": text} for place, kind, text in error.errors]
    return invalid_fields([field_error(each) for each in found]).response()


HANDLERS: dict[int | type[Exception], Handler] = {
    Problem: problem,
    HTTPException: http_error,
    RequestValidationError: invalid_request,
    DatabaseUnavailable: database_away,
    NotKnown: not_known,
    errors.Gone: gone,
    NotPossible: not_possible,
    NotNow: not_now,
    DoesNotFit: does_not_fit,
}


def _other_method(request: Request) -> Response:
    methods = ", ".join(allowed(request.app, request.url.path))
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": methods})
    return MethodNotAllowed(f"Allowed: {methods}.", headers={"Allow": methods}).response()
