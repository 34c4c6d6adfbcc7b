"""The last net: whatever no handler took becomes a 500 that says nothing of our insides, and a log line that does."""

from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import Failed

_log = structlog.get_logger(__name__)


class Failures:
    """ASGI middleware, the outermost of ours; answer and log line bear the same correlation id."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and answer for what it raises."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception:  # the edge of the program: the client gets an answer, whatever it was
            correlation_id = uuid4().hex
            _log.exception("request failed", correlation_id=correlation_id, method=scope["method"], path=scope["path"])
            if begun:
                raise
            failed = Failed(f"Please give {correlation_id} to the operator.", correlation_id=correlation_id)
            await failed.response()(scope, receive, send)
