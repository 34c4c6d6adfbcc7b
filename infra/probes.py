"""The small HTTP server of a program that is none: /livez, /readyz and /metrics."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from infra import metrics
from infra.errors import ConfigurationError, TidingsError

#: Tells whether the program can do its work: an empty mapping, or what is wrong by name.
Ready = Callable[[], dict[str, str]]


def serve(ready: Ready, *, port: int, notes: Ready = dict[str, str], host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """Serve from a thread until the process ends; port 0 takes any free one (`.server_port` tells).

    `notes` is for what is no problem and should be seen all the same.

    Raises:
        ConfigurationError: the port is taken.
    """
    server = _listening(ready, notes, port, host)
    Thread(target=server.serve_forever, name="probes", daemon=True).start()
    return server


def require_free(port: int, host: str = "127.0.0.1") -> None:
    """Find out early whether `serve` could listen here.

    Raises:
        ConfigurationError: the port is taken.
    """
    _listening(dict, dict, port, host).server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_port = False  # two programs on one port would answer in turns


def _listening(ready: Ready, notes: Ready, port: int, host: str) -> ThreadingHTTPServer:
    try:
        return _Server((host, port), _handler(ready, notes))
    except OSError as error:
        raise ConfigurationError(
            f"Cannot serve /readyz on {host}:{port} ({error.strerror}): set TIDINGS_PROBE_PORT, 0 for any free port."
        ) from None


def _asked(ready: Ready) -> dict[str, str]:
    try:
        return ready()
    except TidingsError as error:  # an answer is wanted now more than ever
        return {"program": str(error)}


def _handler(ready: Ready, notes: Ready) -> type[BaseHTTPRequestHandler]:
    class Probes(BaseHTTPRequestHandler):
        server_version = "tidings"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path == "/livez":
                self._answer(200, "application/json", b'{"status": "alive"}')
            elif self.path == "/readyz":
                problems = _asked(ready)
                body = {"status": "not ready" if problems else "ready", "problems": problems, "notes": notes()}
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
