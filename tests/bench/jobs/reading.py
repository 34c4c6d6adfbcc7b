"""Readers of one resource at a steady pace, in a process of its own: `python -m tests.bench.jobs.reading`."""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass

import uvloop


@dataclass(frozen=True, slots=True)
class Reading:
    """What to read: so often a second, by so many connections, for so many seconds."""

    port: int
    path: str
    token: str
    rate: float
    seconds: float
    clients: int = 16


@dataclass(frozen=True, slots=True)
class Read:
    """What came of it."""

    answered: int
    per_s: float
    #: Seconds.
    p50: float
    p99: float
    refused: int


class Reader:
    """One connection: the next GET is sent at its time, or as soon as the last one is answered if that is later."""

    def __init__(self, reading: Reading, number: int, began: float) -> None:
        self._reading = reading
        self._pause = reading.clients / reading.rate
        self._due = began + number * self._pause / reading.clients
        self._end = began + reading.seconds
        head = f"GET {reading.path} HTTP/1.1\r\nHost: 127.0.0.1:{reading.port}\r\n"
        self._payload = f"{head}Authorization: Bearer {reading.token}\r\n\r\n".encode()
        self.took: list[float] = []
        self.refused = 0

    async def run(self) -> None:
        """Until the time is over."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._reading.port)
        while self._due < self._end:
            await asyncio.sleep(max(0.0, self._due - time.monotonic()))
            sent = time.monotonic()
            writer.write(self._payload)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_length(head))
            self.took.append(time.monotonic() - sent)
            self.refused += not head.startswith(b"HTTP/1.1 200")
            self._due = max(self._due + self._pause, time.monotonic() - 1.0)  # a second in arrears at most
        writer.close()


def _length(head: bytes) -> int:
    (line,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(line.partition(b":")[2])


async def read(reading: Reading) -> Read:
    """All connections together."""
    began = time.monotonic()
    readers = [Reader(reading, number, began) for number in range(reading.clients)]
    await asyncio.gather(*(each.run() for each in readers))
    took = sorted(wait for each in readers for wait in each.took)
    return Read(
        answered=len(took),
        per_s=len(took) / (time.monotonic() - began),
        p50=took[len(took) // 2],
        p99=took[len(took) * 99 // 100],
        refused=sum(each.refused for each in readers),
    )


def main() -> None:
    """Read what is wanted as JSON from standard input; write what came of it as JSON to standard output."""
    reading = Reading(**json.loads(sys.stdin.read()))
    sys.stdout.write(json.dumps(asdict(uvloop.run(read(reading)))))


if __name__ == "__main__":
    main()
