"""Which methods an address takes, asked of the OpenAPI document; and HEAD, answered as GET without the body."""

import re
from functools import lru_cache

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: What FastAPI serves and does not describe: the documentation.
_UNDESCRIBED = frozenset({"GET"})
#: Key in the scope of a request.
_HEAD = "tidings.head"


def allowed(app: FastAPI, path: str) -> list[str]:
    """The methods of an existing path, HEAD and OPTIONS among them."""
    methods = set().union(*(found for pattern, found in _table(app) if pattern.fullmatch(path))) or _UNDESCRIBED
    return sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()))


@lru_cache(maxsize=1)
def _table(app: FastAPI) -> list[tuple[re.Pattern[str], frozenset[str]]]:
    # A path with several methods is several routes, and Starlette's own Allow header names only the first one's.
    return [
        (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), frozenset(method.upper() for method in operations))
        for path, operations in app.openapi()["paths"].items()
    ]


def is_head(scope: Scope) -> bool:
    """Whether a request that looks like a GET is a HEAD, so that a long body need not be made."""
    return bool(scope.get(_HEAD))


class HeadAsGet:
    """ASGI middleware: FastAPI routes do not take HEAD by themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, a HEAD as a GET whose body is dropped."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET", _HEAD: True}, receive, without_body)
