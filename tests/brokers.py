"""What tests ask of, and do to, a real RabbitMQ: its HTTP API, its command line tool, and signals."""

import base64
import contextlib
import http.client
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pika
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker

from infra.local.accounts import OPERATOR, USER
from infra.local.node import Node
from tests.waiting import until

#: Seconds after its boot in which a node sets its queues to work, with time to spare.
SETTLED = 20.0
#: 3.10 has the largest message's size in the one place, 4.x in the other.
_GET_LIMIT = "persistent_term:get(max_message_size, element(2, application:get_env(rabbit, max_message_size)))."
_SET_LIMIT = "L = {}, application:set_env(rabbit, max_message_size, L), persistent_term:put(max_message_size, L)."
#: 3.10 looks at its channels now and then, 4.x keeps a timer.
_SET_PATIENCE = (
    "[application:set_env(rabbit, K, V) || {{K, V}} <- [{{consumer_timeout, {}}}, {{channel_tick_interval, {}}}]]."
)
EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}


class BrokerApi:
    """A small client of one node; each `vhost` is the name of a virtual host or the URL of one."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._doomed: list[str] = []

    def create_vhost(self, name: str) -> str:
        """Make a virtual host for the programs' user, and give its URL."""
        self.call("PUT", f"vhosts/{name}")
        for user in (USER, OPERATOR):
            self.call("PUT", f"permissions/{name}/{user}", EVERYTHING)
        return self.node.amqp.rpartition("/")[0] + f"/{name}"

    def delete_vhost(self, vhost: str) -> None:
        """Delete a virtual host; one of a node that has just booted goes with a later one, or with the node.

        3.10 stops being able to declare any queue when queues vanish before their dead-letter workers have begun.
        """
        self._doomed.append(_name(vhost))
        while self._doomed and self._uptime() > SETTLED:
            self.call("DELETE", f"vhosts/{self._doomed.pop()}")

    def empty(self, vhost: str) -> None:
        """Take everything out of a virtual host, as if the broker had lost its disk."""
        self.settle()
        self.call("DELETE", f"vhosts/{_name(vhost)}")
        self.create_vhost(_name(vhost))

    def settle(self) -> None:
        """Wait until queues may vanish without harm: see `delete_vhost`."""
        until(lambda: self._uptime() > SETTLED, seconds=30, what="the node's settling")

    def _uptime(self) -> float:
        """Seconds since its boot, 0 for a node that cannot tell yet."""
        status, answer = self._request("GET", f"nodes/{self.node.name}")
        return float(json.loads(answer).get("uptime", 0)) / 1000 if status == 200 else 0.0

    def queues(self, vhost: str) -> dict[str, dict[str, Any]]:
        """Queues by name; their counts are seconds old: see `messages`."""
        return {queue["name"]: queue for queue in self._list("queues", vhost)}

    def exchanges(self, vhost: str) -> dict[str, dict[str, Any]]:
        """Exchanges by name, without those that every virtual host has."""
        found = {exchange["name"]: exchange for exchange in self._list("exchanges", vhost)}
        return {name: exchange for name, exchange in found.items() if name and not name.startswith("amq.")}

    def bindings(self, vhost: str) -> set[tuple[str, str, str]]:
        """Bindings as (exchange, routing key, queue or exchange), without those of the default exchange."""
        found = {(each["source"], each["routing_key"], each["destination"]) for each in self._list("bindings", vhost)}
        return {binding for binding in found if binding[0]}

    def connections(self, vhost: str) -> list[dict[str, Any]]:
        """Open connections; some seconds old."""
        return self._list("connections", vhost)

    def consumers(self, vhost: str) -> list[dict[str, Any]]:
        """Attached consumers with their queue and tag; some seconds old."""
        found: list[dict[str, Any]] = self.call("GET", f"consumers/{_name(vhost)}")
        return found

    def close_connections(self, vhost: str) -> None:
        """Close all connections of a virtual host from the broker's side."""
        self.ctl("close_all_connections", "--vhost", _name(vhost), "closed by a test")

    def close_connection(self, name: str) -> None:
        """Close one connection by the management API; one that is gone already is no error."""
        status, answer = self._request("DELETE", f"connections/{quote(name, safe='')}")
        assert status < 300 or status == 404, answer

    def delete_queue(self, vhost: str, queue: str) -> None:
        self.call("DELETE", f"queues/{_name(vhost)}/{quote(queue, safe='')}")

    def messages(self, vhost: str, queue: str) -> int:
        """How many messages wait in a queue, exactly and now; those that are delivered and not acked do not count."""
        with self.channel(vhost) as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def has_queue(self, vhost: str, queue: str) -> bool:
        try:
            self.messages(vhost, queue)
        except ChannelClosedByBroker:  # 404: a passive declare fails for no other reason
            return False
        return True

    def take(self, vhost: str, queue: str) -> list[tuple[pika.BasicProperties, bytes]]:
        """Take all messages that wait in a queue out of it."""
        taken = []
        with self.channel(vhost) as channel:
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                taken.append((got[1], got[2]))
        return taken

    @contextlib.contextmanager
    def channel(self, vhost: str) -> Iterator[Any]:
        """A channel of pika's over a connection of its own."""
        connection = pika.BlockingConnection(pika.URLParameters(self.node.amqp.rpartition("/")[0] + f"/{_name(vhost)}"))
        try:
            yield connection.channel()
        finally:
            # Not an error when the test had it closed.
            with contextlib.suppress(AMQPConnectionError):
                connection.close()

    @contextlib.contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """Meanwhile the broker takes no message from anybody: publishers hang, consumers go on."""
        self.ctl("set_vm_memory_high_watermark", "0.000001")
        try:
            until(self._alarmed, what="the memory alarm")
            yield
        finally:
            self.ctl("set_vm_memory_high_watermark", "0.4")
            until(lambda: not self._alarmed(), what="the end of the memory alarm")

    @contextlib.contextmanager
    def message_limit(self, size: int) -> Iterator[None]:
        """Meanwhile a message of more bytes closes its channel; 3.10 asks when it opens a channel."""
        before = self.ctl("eval", _GET_LIMIT).strip()
        self.ctl("eval", _SET_LIMIT.format(size))
        try:
            yield
        finally:
            self.ctl("eval", _SET_LIMIT.format(before))

    @contextlib.contextmanager
    def consumer_timeout(self, seconds: float) -> Iterator[None]:
        """Meanwhile the broker takes back what a channel that is opened now has not acked after so long."""
        self.ctl("eval", _SET_PATIENCE.format(int(seconds * 1000), 500))
        try:
            yield
        finally:
            self.ctl("eval", _SET_PATIENCE.format(1_800_000, 60_000))

    @contextlib.contextmanager
    def disk_alarm(self) -> Iterator[None]:
        """The same, for a disk that is full."""
        self.ctl("set_disk_free_limit", str(10**15))
        try:
            until(self._alarmed, seconds=30, what="the disk alarm")
            yield
        finally:
            self.ctl("set_disk_free_limit", "200000000")
            until(lambda: not self._alarmed(), seconds=30, what="the end of the disk alarm")

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on the node; takes about a second."""
        command = [*self.node.tool("rabbitmqctl"), "-q", "-n", self.node.name, *arguments]
        done = subprocess.run(
            command, env=self.node.environment(), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request to the HTTP API as its administrator."""
        status, answer = self._request(method, path, body)
        assert status < 300, f"{method} {path}: {status} {answer.decode(errors='replace')}"
        return json.loads(answer) if answer else None

    def _alarmed(self) -> bool:
        return self._request("GET", "health/checks/local-alarms")[0] != 200

    def _list(self, what: str, vhost: str) -> list[dict[str, Any]]:
        path = f"vhosts/{_name(vhost)}/connections" if what == "connections" else f"{what}/{_name(vhost)}"
        found: list[dict[str, Any]] = self.call("GET", path)
        return found

    def _request(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        url = urlsplit(self.node.management)
        login = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=30)
        try:
            connection.request(method, f"/api/{path}", None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def kill(node: Node) -> None:
    """End the broker as a crash would (SIGKILL)."""
    assert node.pid is not None
    os.kill(node.pid, signal.SIGKILL)
    until(lambda: node.pid is None, what="the broker's death")


@contextlib.contextmanager
def frozen(node: Node) -> Iterator[None]:
    """Meanwhile the broker neither reads nor answers, while its connections stay open (SIGSTOP)."""
    pid = node.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: _stopped(pid), what="the stop of each of the broker's threads")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _stopped(pid: int) -> bool:
    return all(") T " in (thread / "stat").read_text() for thread in Path(f"/proc/{pid}/task").iterdir())


def _name(vhost: str) -> str:
    return vhost.rpartition("/")[2]
