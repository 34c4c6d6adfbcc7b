"""The gateway as a program: `python -m gateway`."""

import gc
import signal
import socket
from types import FrameType

import structlog
import uvicorn

from gateway.app import create_app
from infra import commands, faults, logs
from infra.database import engine, migrations
from infra.database.engine import Database
from infra.errors import ConfigurationError
from infra.relaying.publishing import Publishing
from infra.settings import Settings, load

_log = structlog.get_logger(__name__)
#: Seconds for open requests at the end.
_GRACE = 5
#: Connections that wait to be accepted.
_BACKLOG = 2048


app = commands.make("Answer requests, and publish what they announce.")


@app.command()
def gateway() -> None:
    """Answer requests, and publish what they announce, until SIGTERM or Ctrl-C."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    run(load())


def run(configured: Settings) -> None:
    """Serve until a signal ends it.

    Raises:
        ConfigurationError: a setting is missing or wrong, the port is taken, or the schema is not current.
        DatabaseUnavailable: the database is away.
    """
    logs.configure(configured, program="gateway")
    faults.arm(configured.fault)
    broker = configured.rabbitmq
    database = engine.connect(configured.database)
    try:
        migrations.require_current(database)
        with _listening(configured) as listening:
            _serve(configured, database, broker, listening)
    finally:
        database.close()


class _Server(uvicorn.Server):
    """Sends those away who only watch before it waits for requests to end."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        self.config.app.state.watching.end()  # type: ignore[union-attr]  # it is ours, below
        await super().shutdown(sockets)


def _serve(configured: Settings, database: Database, broker: str, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    _log.info("listening", address=f"http://{host}:{port}")
    server = _Server(
        uvicorn.Config(
            create_app(configured, database, Publishing(database, broker, program="gateway")),
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_GRACE,
        )
    )
    gc.collect()
    gc.freeze()  # what is there now stays: no collection need look at it again, which would hold requests up
    server.run(sockets=[listening])


def _listening(configured: Settings) -> socket.socket:
    # Not left to uvicorn, which would end the process by itself when the port is taken.
    family = socket.AF_INET6 if ":" in configured.http_host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((configured.http_host, configured.http_port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        address = f"{configured.http_host}:{configured.http_port}"
        raise ConfigurationError(f"Cannot listen on {address} ({error.strerror}): set TIDINGS_HTTP_PORT.") from None
    return listening


def _leave(_: int, __: FrameType | None) -> None:
    # uvicorn ends by raising the signal that stopped it once more; and before it runs, this is how to stop.
    raise SystemExit(0)


if __name__ == "__main__":
    commands.run(app, "./tidings gateway")
