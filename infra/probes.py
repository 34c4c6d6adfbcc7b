"""The small HTTP server of a program that is none: /livez, /readyz and /metrics."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from infra import metrics

#: Tells whether the program can do its work: an empty mapping, or what is wrong by name.
Ready = Callable[[], dict[str, str]]


def serve(ready: Ready, *, port: int, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """Serve from a thread until the process ends; port 0 takes any free one (`.server_port` tells).

    Raises:
        OSError: the port is taken.
    """
    server = ThreadingHTTPServer((host, port), _handler(ready))
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="probes", daemon=True).start()
    return server


def _handler(ready: Ready) -> type[BaseHTTPRequestHandler]:
    class Probes(BaseHTTPRequestHandler):
        server_version = "tidings"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path == "/livez":
                self._answer(200, "application/json", b'{"status": "alive"}')
            elif self.path == "/readyz":
                problems = ready()
                body = {"status": "not ready" if problems else "ready", "problems": problems}
                self._answer(503 if problems else 200, "application/json", json.dumps(body).encode())
            elif self.path == "/metrics":
                self._answer(200, "text/plain; version=0.0.4; charset=utf-8", metrics.render())
            else:
                self._answer(404, "text/plain", b"Try /livez, /readyz or /metrics.\n")

        def log_message(self, *_: object) -> None:
            """A probe each second is no news."""

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Probes
