"""Readers of one resource at a steady pace until SIGTERM, in a process of its own: `tests.bench.jobs.reading`.

It shares the processors with what is measured, so it is made to cost little: callbacks instead of tasks and streams.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import cast

import uvloop


@dataclass(frozen=True, slots=True)
class Reading:
    """What to read: so often a second, by so many connections."""

    port: int
    path: str
    token: str
    rate: float
    clients: int = 16


@dataclass(frozen=True, slots=True)
class Read:
    """What came of it."""

    answered: int
    per_s: float
    #: Seconds from when a GET was due, which is before it was sent if the answer before came too late.
    p50: float
    p99: float
    refused: int
    #: Seconds of CPU that the readers themselves took.
    cpu: float


class Reader(asyncio.Protocol):
    """One connection: the next GET is sent at its time, or as soon as the last one is answered if that is later."""

    def __init__(self, reading: Reading, number: int, began: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._pause = reading.clients / reading.rate
        self._due = began + number / reading.rate
        self._is_told_to_end = False
        head = f"GET {reading.path} HTTP/1.1\r\nHost: 127.0.0.1:{reading.port}\r\n"
        self._payload = f"{head}Authorization: Bearer {reading.token}\r\n\r\n".encode()
        self._answer = b""
        self.took: list[float] = []
        self.refused = 0
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first one's time."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own, which is no subclass of it
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Note how long a whole answer took, and wait for the next one's time."""
        self._answer += data
        if not _is_whole(self._answer):
            return
        now = time.monotonic()
        self.took.append(now - self._due)
        self.refused += not self._answer.startswith(b"HTTP/1.1 200")
        self._answer = b""
        self._due = max(self._due + self._pause, now - 1.0)  # a second in arrears at most
        self._wait()

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more will come."""
        if not self.ended.done():
            self.ended.set_exception(error or ConnectionResetError("The gateway ended the connection."))

    def end(self) -> None:
        """Read no more once the answer that is under way is there."""
        self._is_told_to_end = True

    def _wait(self) -> None:
        if self._is_told_to_end:
            self.ended.set_result(None)
            self._transport.close()
        elif (early := self._due - time.monotonic()) > 0:
            self._loop.call_later(early, self._transport.write, self._payload)
        else:
            self._transport.write(self._payload)


def _is_whole(answer: bytes) -> bool:
    """Whether head and body are there; ours says the body's length in each."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return bool(length) and len(body) >= int(length)


async def read(reading: Reading) -> Read:
    """All connections together, until SIGTERM."""
    began, spent, loop = time.monotonic(), time.process_time(), asyncio.get_running_loop()
    readers = [Reader(reading, number, began) for number in range(reading.clients)]
    loop.add_signal_handler(signal.SIGTERM, _end, readers)
    for each in readers:
        await loop.create_connection(lambda each=each: each, "127.0.0.1", reading.port)  # type: ignore[misc]
    await asyncio.gather(*(each.ended for each in readers))
    took = sorted(wait for each in readers for wait in each.took)
    return Read(
        answered=len(took),
        per_s=len(took) / (time.monotonic() - began),
        p50=took[len(took) // 2],
        p99=took[len(took) * 99 // 100],
        refused=sum(each.refused for each in readers),
        cpu=time.process_time() - spent,
    )


def _end(readers: Sequence[Reader]) -> None:
    for each in readers:
        each.end()


def main() -> None:
    """Read what is wanted as JSON; write what came of it as JSON to standard output."""
    reading = Reading(**json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps(asdict(uvloop.run(read(reading)))))


if __name__ == "__main__":
    main()
