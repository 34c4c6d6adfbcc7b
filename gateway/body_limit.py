"""A bound on request bodies, which uvicorn does not have.

Starlette's `RequestBodyLimitMiddleware` is not used: for a body that no route reads it answers in plain text.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import BodyTooLarge

#: Bytes.
LARGEST = 64 * 1024


class BodyLimit:
    """ASGI middleware: refuses an announced size at once, and an unannounced one when it is passed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _announced(scope) > LARGEST:
            await _too_large().response()(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > LARGEST:
                raise _too_large()
            return message

        await self.app(scope, counted, send)


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"At most {LARGEST // 1024} KiB.")
