"""Answers that a browser may keep: it asks each time whether what it has is still so, and is told in a few bytes."""

from collections.abc import Mapping
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response


def answer(request: Request, body: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """The body with its ETag, or 304 when the client has it already (RFC 9110, section 13.1.2)."""
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    kept = {"ETag": tag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", **(headers or {})}
    if has(request, tag):
        return Response(status_code=304, headers=kept)
    return Response(body, 200, kept, media_type)


def has(request: Request, tag: str) -> bool:
    """Whether the client says that what it has bears this tag, or that it has anything."""
    # Compared weakly: whoever compresses answers on the way marks the tag as weak.
    tags = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return tag in tags or "*" in tags
