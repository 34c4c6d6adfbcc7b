"""Rules of messages that a stranger put into a queue: whatever they hold, the worker and their neighbours live on."""

import json
import random
import struct
from typing import Any

import pytest
from pika.spec import BasicProperties

from infra.outcomes import Done, Incoming, Outcome
from tests.waiting import until
from tests.workers import Bench, collect


class RawHeaders(BasicProperties):  # type: ignore[misc]  # pika ships no types
    """Properties whose header table is given as bytes, for what pika itself would not send."""

    def __init__(self, table: bytes) -> None:
        super().__init__()
        self._table = table

    def encode(self) -> list[bytes]:
        return [struct.pack(">HI", self.FLAG_HEADERS, len(self._table)), self._table]


def field(kind: bytes, value: bytes) -> bytes:
    return b"\x01h" + kind + value


def nested(levels: int) -> bytes:
    table = b""
    for _ in range(levels):
        table = field(b"F", struct.pack(">I", len(table)) + table)
    return table


UNDECODABLE = {
    "far future": field(b"T", struct.pack(">Q", 2**63)),
    "deep": nested(3_000),
}

DRAMATIQ: dict[str, Any] = {
    "queue_name": "a-consumer",
    "actor_name": "a-consumer",
    "args": [],
    "kwargs": {},
    "options": {},
    "message_id": "m",
    "message_timestamp": 1,
}
LOOKS_LIKE_DRAMATIQ = {
    "foreign queue": {"queue_name": "elsewhere"},
    "foreign actor": {"actor_name": "elsewhere"},
    "throws": {"options": {"throws": "x"}},
    "eta": {"options": {"eta": 32_503_680_000_000}},
    "time limit": {"options": {"time_limit": 0}},
    "delay queue": {"queue_name": "a-consumer.DQ", "options": {"eta": None}},
}


def assert_all_arrive(bench: Bench, bodies: list[bytes]) -> None:
    """These and a neighbour are handled, once each, by threads that all live on."""
    seen: list[bytes] = []
    with bench.working({"a-consumer": collect(seen)}):
        bench.send("a-consumer", b"neighbour")
        until(lambda: sorted(seen) == sorted([*bodies, b"neighbour"]), what="all bodies")
        assert bench.all_threads_live

    assert bench.api.messages(bench.vhost, "a-consumer") == 0


@pytest.mark.parametrize("table", UNDECODABLE.values(), ids=UNDECODABLE)
def test_headers_that_pika_cannot_decode_do_not_stop_the_connection(bench: Bench, table: bytes) -> None:
    bench.declare("a-consumer")
    with bench.api.channel(bench.vhost) as channel:
        channel.confirm_delivery()
        channel.basic_publish("", "a-consumer", b"hostile", RawHeaders(table), mandatory=True)

    assert_all_arrive(bench, [b"hostile"])


@pytest.mark.parametrize("fields", LOOKS_LIKE_DRAMATIQ.values(), ids=LOOKS_LIKE_DRAMATIQ)
def test_a_body_that_looks_like_dramatiqs_own_is_a_body_like_any_other(bench: Bench, fields: dict[str, Any]) -> None:
    """With stock Dramatiq these kill threads, wait for years, or run something else."""
    body = json.dumps(DRAMATIQ | fields).encode()
    bench.declare("a-consumer")
    bench.send("a-consumer", body)

    assert_all_arrive(bench, [body])


def test_random_bytes_are_bodies_like_any_other(bench: Bench) -> None:
    bodies = [random.Random(n).randbytes(n * 7) for n in range(60)]
    bench.declare("a-consumer")
    bench.send("a-consumer", *bodies)

    assert_all_arrive(bench, bodies)


@pytest.mark.parametrize("attempt", ["three", -1, 2**40, [1], {"a": 1}, None, b"\xff"], ids=repr)
def test_a_senseless_attempt_still_is_an_attempt(bench: Bench, attempt: Any) -> None:
    bench.declare("a-consumer")
    bench.send("a-consumer", b"x", headers={"x-attempt": attempt})
    seen: list[Incoming] = []

    def handle(incoming: Incoming) -> Outcome:
        seen.append(incoming)
        return Done()

    with bench.working({"a-consumer": handle}):
        until(lambda: seen, what="the delivery")

    assert 1 <= seen[0].attempt <= 1_000
