"""What a virtual host has, asked of RabbitMQ's management API: the only place that knows arguments and bindings."""

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from infra.errors import BrokerUnavailable, ConfigurationError
from infra.hosts import each

#: Seconds for one answer.
DEADLINE = 10.0
#: What every virtual host has of its own begins like this.
_BUILT_IN = "amq."
_REFUSALS = {
    401: "refuses the login: check the user and password in TIDINGS_MANAGEMENT_URL",
    403: "does not let this user look: it needs the tag `management` and rights in the virtual host",
    404: "knows no such virtual host: check the URL of RabbitMQ",
}


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue; the counts are some seconds old."""

    name: str
    durable: bool
    arguments: Mapping[str, Any]
    #: Messages that wait.
    ready: int
    #: Messages that are delivered and not acked.
    unacked: int
    #: Consumers that are attached.
    consumers: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange."""

    name: str
    kind: str
    durable: bool


@dataclass(frozen=True, slots=True)
class Binding:
    """What makes an exchange route to a queue."""

    exchange: str
    key: str
    queue: str


@dataclass(frozen=True, slots=True)
class Present:
    """All that one virtual host has, without what is built in."""

    queues: Mapping[str, Queue]
    exchanges: Mapping[str, Exchange]
    bindings: frozenset[Binding]


class Management:
    """A client of one virtual host; of several hosts in the URL the first that answers."""

    def __init__(self, url: str, amqp: str, *, deadline: float = DEADLINE) -> None:
        """Remember; `amqp` is the URL of RabbitMQ, whose path names the virtual host."""
        self._urls = [urlsplit(one) for one in each(url)]
        self._vhost = quote(unquote(urlsplit(each(amqp)[0]).path[1:]) or "/", safe="")
        self._deadline = deadline

    def present(self) -> Present:
        """Everything at once.

        Raises:
            BrokerUnavailable: nobody answers.
            ConfigurationError: the login or the virtual host is wrong.
        """
        queues = [_queue(each) for each in self._get("queues")]
        exchanges = [Exchange(each["name"], each["type"], each["durable"]) for each in self._get("exchanges")]
        bindings = [
            Binding(each["source"], each["routing_key"], each["destination"])
            for each in self._get("bindings")
            if each["source"] and each["destination_type"] == "queue"
        ]
        return Present(
            queues={each.name: each for each in queues},
            exchanges={each.name: each for each in exchanges if each.name and not each.name.startswith(_BUILT_IN)},
            bindings=frozenset(bindings),
        )

    def queues(self) -> dict[str, Queue]:
        """The queues alone, by name.

        Raises:
            BrokerUnavailable: nobody answers.
            ConfigurationError: the login or the virtual host is wrong.
        """
        return {queue.name: queue for queue in map(_queue, self._get("queues"))}

    def _get(self, what: str) -> Any:
        for url in self._urls[:-1]:
            try:
                return self._ask(url, what)
            except BrokerUnavailable:
                continue
        return self._ask(self._urls[-1], what)

    def _ask(self, url: SplitResult, what: str) -> Any:
        """One request; no text of an error holds the URL, which has a password in it."""
        connection = _connection(url, self._deadline)
        try:
            connection.request("GET", f"{url.path.rstrip('/')}/api/{what}/{self._vhost}", headers=_login(url))
            response = connection.getresponse()
            answer = response.read()
            if response.status == http.HTTPStatus.OK:
                return json.loads(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BrokerUnavailable(
                f"RabbitMQ's management API does not answer ({_text(error)}): is its plugin on, is the URL right?"
            ) from None
        finally:
            connection.close()
        if response.status in _REFUSALS:
            raise ConfigurationError(f"RabbitMQ's management API {_REFUSALS[response.status]}.")
        raise BrokerUnavailable(f"RabbitMQ's management API answered {response.status} when asked for its {what}.")


def _queue(found: Mapping[str, Any]) -> Queue:
    return Queue(
        name=found["name"],
        durable=found["durable"],
        arguments=found["arguments"],
        ready=found.get("messages_ready") or 0,
        unacked=found.get("messages_unacknowledged") or 0,
        consumers=found.get("consumers") or 0,
    )


def _connection(url: SplitResult, deadline: float) -> http.client.HTTPConnection:
    if url.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(url.hostname or "", url.port, timeout=deadline, context=context)
    return http.client.HTTPConnection(url.hostname or "", url.port, timeout=deadline)


def _login(url: SplitResult) -> dict[str, str]:
    pair = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _text(error: BaseException) -> str:
    return str(error) if isinstance(error, TimeoutError) and str(error) else type(error).__name__
