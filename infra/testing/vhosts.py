"""Virtual hosts for tests: of a private RabbitMQ that is started for them, or of one that the settings name."""

import base64
import http.client
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from infra.local import install
from infra.local.node import Node, Ports
from infra.settings import Settings
from infra.testing.told import KitError

#: Far from what a person's own node has.
_FIRST_PORT = 25_600
_EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}


class Vhosts:
    """Makes them by the management API."""

    def __init__(self, amqp: str, management: str, *, disposable: bool) -> None:
        """Those of a `disposable` node are left to its end: 3.10 cannot bear that queues vanish soon after a boot."""
        self._amqp, self._management = urlsplit(amqp), urlsplit(management)
        self._disposable = disposable

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """URL of one that is empty and nobody else's.

        Raises:
            KitError: it cannot be made.
        """
        name = f"kit-{secrets.token_hex(4)}"
        self._call("PUT", f"vhosts/{name}")
        for user in {self._amqp.username or "guest", self._management.username or "guest"}:
            self._call("PUT", f"permissions/{name}/{quote(user, safe='')}", _EVERYTHING)
        try:
            yield self._amqp._replace(path=f"/{name}").geturl()
        finally:
            if not self._disposable:
                self._call("DELETE", f"vhosts/{name}")

    def _call(self, method: str, path: str, body: object = None) -> None:
        url = self._management
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(url.hostname or "", url.port, timeout=10)
        login = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        try:
            connection.request(method, f"/api/{path}", json.dumps(body or {}), headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise KitError(f"RabbitMQ's management API does not answer ({type(error).__name__}).") from None
        finally:
            connection.close()
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise KitError(f"RabbitMQ's management API answered {status} to {method} {path}: may its user do that?")


@contextmanager
def provided(settings: Settings, folder: Path, say: object = None) -> Iterator[Vhosts]:
    """Of the broker that the environment names, else of a private one, for as long as this lasts.

    Raises:
        KitError: the environment names half of it.
        ConfigurationError: no RabbitMQ is installed here.
        BrokerUnavailable: it does not start.
    """
    if settings.rabbitmq_url is not None:
        if settings.management_url is None:
            raise KitError("A test needs a virtual host of its own: set TIDINGS_MANAGEMENT_URL, too.")
        yield Vhosts(settings.rabbitmq_url, settings.management_url, disposable=False)
        return
    install.ensure_rabbitmq(say if callable(say) else print)
    node = Node(folder, Ports(*range(_FIRST_PORT, _FIRST_PORT + 4)))
    try:
        node.start(wait=True)
        yield Vhosts(node.amqp, node.management, disposable=True)
    finally:
        node.stop(seconds=0)
