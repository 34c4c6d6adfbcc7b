"""What goes wrong in a request, as RFC 9457 problem details: one class for each type of problem.

    Problem                    never raised itself
    ├── MalformedJson     400  the body is not JSON
    ├── Unauthorized      401  the operator's token is missing or wrong
    ├── NotFound          404  nothing is at this address
    ├── MethodNotAllowed  405  something is, but not for this method
    ├── Conflict          409  what is there now does not allow it
    ├── Gone              410  something was at this address
    ├── BodyTooLarge      413
    ├── UnsupportedMedia  415  the body is not sent as application/json
    ├── Invalid           422  the request is understood, and a value in it is wrong
    ├── Failed            500  a fault of ours
    └── Unavailable       503  not now

The problems of one slice, such as an e-mail address that is taken, are subclasses beside the service that raises them.
No problem ever repeats a submitted value: it may be a password in the wrong field.
"""

import http
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypedDict

from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
#: Characters of a client's own field name that an error repeats.
_LONGEST_FIELD = 64

Place = Literal["body", "query", "header", "path"]
FieldError = TypedDict("FieldError", {"in": Place, "field": str, "message": str})


class Problem(HTTPException):
    """Something went wrong."""

    kind: ClassVar[str]
    status: ClassVar[int]

    def __init_subclass__(cls, *, kind: str, status: int) -> None:
        super().__init_subclass__()
        cls.kind, cls.status = kind, status

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(self.status, detail, headers)
        self.errors = errors
        self.members = members

    def response(self) -> Response:
        """The answer that says so; the first line of the class's docstring is the problem's title."""
        title = (type(self).__doc__ or "").partition("\n")[0].rstrip(".")
        return respond(self.kind, title, self.status, self.detail, self.headers, self.members | _some(self.errors))


class MalformedJson(Problem, kind="malformed-json", status=400):
    """The body is not JSON."""


class Unauthorized(Problem, kind="unauthorized", status=401):
    """The operator's token is missing or wrong."""


class NotFound(Problem, kind="not-found", status=404):
    """Nothing is here."""


class MethodNotAllowed(Problem, kind="method-not-allowed", status=405):
    """This address does not take this method."""


class Conflict(Problem, kind="conflict", status=409):
    """The present state does not allow this."""


class Gone(Problem, kind="gone", status=410):
    """Nothing is here any more."""


class BodyTooLarge(Problem, kind="body-too-large", status=413):
    """The body is too large."""


class UnsupportedMedia(Problem, kind="unsupported-media-type", status=415):
    """The body is not sent as plain application/json."""


class Invalid(Problem, kind="invalid", status=422):
    """A value in the request is wrong."""


class Failed(Problem, kind="failed", status=500):
    """The request failed through a fault of ours."""


class Unavailable(Problem, kind="unavailable", status=503):
    """The service cannot do this now; please try again."""


def respond(  # noqa: PLR0913, PLR0917  # the members of RFC 9457, and its headers
    kind: str | None,
    title: str,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> Response:
    """A problem as an answer; without a kind it says no more than its status does (`about:blank`)."""
    body: dict[str, Any] = {
        "type": f"/problems/{kind}" if kind else "about:blank",
        "title": title,
        "status": status,
        **({"detail": detail} if detail else {}),
        **(members or {}),
    }
    return Response(json.dumps(body, ensure_ascii=True), status, headers, MEDIA_TYPE)


def unnamed(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """The problem for an HTTP error that no class of ours names."""
    return respond(None, http.HTTPStatus(status).phrase, status, "", headers)


def invalid(place: Place, field: str, message: str) -> Invalid:
    """The problem for one wrong value."""
    return invalid_fields([{"in": place, "field": field[:_LONGEST_FIELD], "message": message}])


def invalid_fields(errors: Sequence[FieldError]) -> Invalid:
    """The problem for several wrong values; its detail is about the first."""
    first = errors[0]
    return Invalid(f"{first['field'] or first['in']}: {first['message']}", errors=errors)


def field_error(error: Mapping[str, Any]) -> FieldError:
    """One of Pydantic's errors without what it tells of the input."""
    place, *path = error["loc"]
    field = ".".join(str(part) for part in path)[:_LONGEST_FIELD]
    return {"in": place, "field": field, "message": _MESSAGES.get(error["type"], error["msg"])}


#: Where Pydantic's own words are unclear to a client, or quote the input.
_MESSAGES = {
    "missing": "This is required.",
    "extra_forbidden": "There is no such field; is it a typing error?",
    "model_attributes_type": "This must be a JSON object.",
    "dict_type": "This must be a JSON object.",
    "string_pattern_mismatch": "This contains a character that is not allowed here.",
}


def _some(errors: Sequence[FieldError]) -> dict[str, Any]:
    return {"errors": list(errors)} if errors else {}
