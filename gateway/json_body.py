"""JSON bodies, read strictly: what other readers would understand differently, or not at all, is refused."""

from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from events import strict_json
from events.errors import NotJson
from gateway.problems import MalformedJson, UnsupportedMedia


class StrictRequest(Request):
    """A request whose `json()` takes RFC 8259 and RFC 7493 only: no NaN, no duplicate keys, no bottomless nesting."""

    async def json(self) -> Any:
        """The body's value.

        Raises:
            MalformedJson: never says a part of the body.
        """
        try:
            return strict_json.read(await self.body())
        except NotJson as error:
            raise MalformedJson(f"The body is {error}." if str(error).startswith("not") else f"{error}.") from None


class StrictRoute(APIRoute):
    """A route with such requests; FastAPI's own hook for it, `get_route_handler`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route as FastAPI makes it, behind a check of the body's media type."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            request = StrictRequest(request.scope, request.receive)
            field = self.body_field
            if field is not None and (field.field_info.is_required() or await request.body()):
                _check_media(request)
            return await handle(request)

        return strict


def _check_media(request: Request) -> None:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the body without a content encoding.")
    content_type = request.headers.get("content-type", "")
    if content_type not in {"application/json", "application/json; charset=utf-8"} and not _is_json(content_type):
        raise UnsupportedMedia("Send the body with 'Content-Type: application/json'.")


def _is_json(content_type: str) -> bool:
    message = Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
