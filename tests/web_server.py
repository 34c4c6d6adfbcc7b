"""An application behind a real uvicorn in a thread, and a client that sends the bytes it is told to."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from tests.waiting import until


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class WebServer:
    """Serves on a free port of the loopback for as long as the `with` block lasts."""

    def __init__(self, app: ASGIApp) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        options = {"loop": "uvloop", "http": "httptools", "ws": "none", "access_log": False, "log_config": None}
        self._server = uvicorn.Server(uvicorn.Config(app, lifespan="on", **options))  # type: ignore[arg-type]
        self._thread = Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started, what="uvicorn's start")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    @contextmanager
    def connected(self, request: bytes) -> Iterator[socket.socket]:
        """A connection over which this was sent, for a client that reads as it likes, or leaves."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            yield connection

    def send(self, *chunks: bytes) -> Reply:
        """Send these bytes over one connection and read one answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            for chunk in chunks:
                connection.sendall(chunk)
            return _read(connection)

    def post(self, body: bytes, *headers: str, path: str = "/users") -> Reply:
        """POST JSON."""
        lines = [f"POST {path} HTTP/1.1", "host: test", *headers, f"content-length: {len(body)}"]
        if not any(line.lower().startswith("content-type") for line in headers):
            lines.append("content-type: application/json")
        return self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


def _read(connection: socket.socket) -> Reply:
    with connection.makefile("rb") as answer:
        status = int(answer.readline().split()[1])
        lines = iter(answer.readline, b"\r\n")
        pairs = (line.decode("latin-1").split(":", 1) for line in lines)
        headers = {name.lower(): value.strip() for name, value in pairs}
        return Reply(status, headers, answer.read(int(headers.get("content-length", 0))))
