"""A file of a result as an answer: whole or a range of it, and harmless to the gateway's own pages."""

import re
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.methods import is_head
from gateway.presence import while_there
from gateway.problems import Problem
from infra.database.job_tables import JobFile

#: Bytes that are read at once.
_PIECE = 256 * 1024
#: One range; a server may pass over what it cannot read, and over several (RFC 9110, section 14.2).
_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*")
#: A report is a page of somebody else's making: it may be styled and show pictures of its own, and nothing else.
_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: What a browser may show; anything else is for keeping.
_SHOWN = ("text/", "image/", "application/json", "application/pdf")


class RangeNotSatisfiable(Problem, kind="range-not-satisfiable", status=416):
    """The file has no such range."""


def tag(file: JobFile) -> str:
    """Its entity tag."""
    return f'"{file.digest}"'


def headers(file: JobFile) -> dict[str, str]:
    """What is said of a file, whether it is sent or the client has it."""
    shown = "inline" if file.media_type.startswith(_SHOWN) else "attachment"
    return {
        "ETag": tag(file),
        "Cache-Control": "private, no-cache",  # it expires, and may be erased before
        "Vary": "Accept",
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'{shown}; filename="{file.name}"',
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
    }


class FileAnswer(Response):
    """Sends an open file piece by piece, and closes it."""

    def __init__(self, file: JobFile, opened: BinaryIO) -> None:
        self.status_code = 200
        self.media_type = _with_charset(file.media_type)
        self.background = None
        self._file, self._opened = file, opened
        self.init_headers(headers(file))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with all of it, or the range that was asked for."""
        try:
            whole = (0, self._file.size)
            first, end = whole if is_head(scope) else self._asked(Headers(scope=scope)) or whole
            if first >= end and self._file.size:
                await self._no_such_range()(scope, receive, send)
                return
            self.headers["content-length"] = str(end - first)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await while_there(receive, self._send(first, first if is_head(scope) else end, send))
        finally:
            self._opened.close()

    def _asked(self, asked: Headers) -> tuple[int, int] | None:
        """The range from here to there; with `If-Range`, all of it if it is another file by now."""
        size, ours = self._file.size, tag(self._file)
        if not size or asked.get("if-range", ours) != ours or (found := _range(asked.get("range", ""), size)) is None:
            return None
        first, end = found
        self.status_code = 206
        self.headers["content-range"] = f"bytes {first}-{end - 1}/{size}"
        return found

    def _no_such_range(self) -> Response:
        size = self._file.size
        return RangeNotSatisfiable(f"It has {size} bytes.", headers={"Content-Range": f"bytes */{size}"}).response()

    async def _send(self, first: int, end: int, send: Send) -> None:
        self._opened.seek(first)
        while first < end:
            piece = await run_in_threadpool(self._opened.read, min(_PIECE, end - first))
            if not piece:
                raise RuntimeError("A file of a result is shorter than its row says.")
            first += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _range(text: str, size: int) -> tuple[int, int] | None:
    """Where it begins and ends; None when it cannot be read. One that is not in the file is empty."""
    if (found := _RANGE.fullmatch(text)) is None:
        return None
    first, last = (int(part) if part else None for part in found.groups())
    if first is None:
        return None if last is None else (max(0, size - last), size)
    if last is not None and last < first:
        return None
    return first, size if last is None else min(size, last + 1)


def _with_charset(media_type: str) -> str:
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") and ";" not in media_type else media_type
