"""A load generator of its own process that costs far less than what it measures: `python -m tests.bench.load`."""

import asyncio
import json
import random
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

#: Seconds after which a POST without an answer is counted as failed.
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Posted:
    """One POST: when it was sent and answered (time.time()), and with what status; 0 when no answer came."""

    email: str
    sent: float
    answered: float
    status: int


@dataclass(frozen=True, slots=True)
class Order:
    """What to post: `count` registrations, or other things, by `clients` keep-alive connections."""

    port: int
    prefix: str
    count: int
    clients: int = 32
    #: Mean seconds between two POSTs of one client; 0 sends the next as soon as the last is answered.
    pause: float = 0.0
    path: str = "/users"
    #: The operator's, where the path asks for it.
    token: str = ""
    #: `%(number)d` and `%(email)s` differ from one to the next.
    body: str = '{"name": "Ada Lovelace %(number)d", "email": "%(email)s"}'


def request(order: Order, number: int) -> tuple[str, bytes]:
    """What to know one POST by, which is an e-mail address, and its bytes."""
    email = f"{order.prefix}-{number}@example.com"
    body = (order.body % {"number": number, "email": email}).encode()
    head = f"POST {order.path} HTTP/1.1\r\nHost: 127.0.0.1:{order.port}\r\nContent-Type: application/json\r\n"
    if order.token:
        head += f"Authorization: Bearer {order.token}\r\n"
    return email, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def body_length(head: bytes) -> int:
    """Content-Length of an answer's head, in any case of letters."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError("an answer without Content-Length")


class Client(asyncio.Protocol):
    """One keep-alive connection that posts, until nothing is left to post."""

    def __init__(self, waiting: deque[tuple[str, bytes]], done: list[Posted], pause: float) -> None:
        self._waiting = waiting
        self._done = done
        self._pause = pause
        self._buffer = b""
        self._email = ""
        self._sent = 0.0
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its ancestry

    def post(self) -> None:
        """Send the next registration, if one is left."""
        if not self._waiting:
            self._email = ""
            self._transport.close()
            return
        self._email, payload = self._waiting.popleft()
        self._sent = time.time()
        self._transport.write(payload)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or len(rest) < body_length(head):
            return
        self._note(int(head.split(b" ", 2)[1]))
        self._buffer = b""
        if self._pause:
            # Spread, so that no poll of a server falls into step with the load.
            asyncio.get_running_loop().call_later(self._pause * random.uniform(0.5, 1.5), self.post)
        else:
            self.post()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._email and self._sent:
            self._note(0)
        if not self.finished.done():
            self.finished.set_result(None)

    def _note(self, status: int) -> None:
        self._done.append(Posted(self._email, self._sent, time.time(), status))
        self._email = ""


async def post_all(order: Order) -> list[Posted]:
    """Connect all clients first, then post; gives what became of each registration."""
    waiting = deque(request(order, number) for number in range(order.count))
    done: list[Posted] = []
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(order.clients):
        _transport, client = await loop.create_connection(
            lambda: Client(waiting, done, order.pause), "127.0.0.1", order.port
        )
        clients.append(client)
    for client in clients:
        client.post()
    async with asyncio.timeout(PATIENCE + order.count * order.pause):
        await asyncio.gather(*(client.finished for client in clients))
    return done


def main() -> None:
    """Read an order as JSON from standard input; write the answers as JSON to standard output."""
    order = Order(**json.loads(sys.stdin.read()))
    answers = uvloop.run(post_all(order))
    sys.stdout.write(json.dumps([asdict(answer) for answer in answers]))


if __name__ == "__main__":
    main()
