"""Messages that a stranger might publish: bodies, properties and headers that nobody wants, from a seed."""

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from pika import BasicProperties

from events.envelope import MAX_BYTES, announce, encode
from events.users import UserRegistered

#: Stands in every body, so that a log that has it quotes one.
SECRET = "s3cr3t"
TYPE = "user.registered"


@dataclass(frozen=True, slots=True)
class Message:
    """One message and where it is published."""

    exchange: str
    routing_key: str
    body: bytes
    properties: BasicProperties


class Strangers:
    """Makes messages, each with another body, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._number = 0

    def messages(self, count: int) -> Iterator[Message]:
        """Hostile ones, in turn of every kind, to the exchange and straight to the consumers' queues."""
        for number in range(count):
            body = _KINDS[number % len(_KINDS)](self)
            yield Message(*self._random.choice(_PLACES), body, self._properties())

    def good(self) -> tuple[str, str, Message]:
        """A registration as it should be, in properties as they should not; with its id and address."""
        envelope = self._registration()
        assert isinstance(envelope.data, UserRegistered)
        message = Message("events", TYPE, encode(envelope), self._properties())
        return envelope.id, envelope.data.email, message

    # The kinds of bodies: each has the secret and a number of its own.

    def garbage(self) -> bytes:
        return self._random.randbytes(self._random.randrange(200)) + self._mark().encode()

    def cut_short(self) -> bytes:
        body = self._event()
        return body[: self._random.randrange(body.index(SECRET.encode()) + 30, len(body) - 1)]

    def another_encoding(self) -> bytes:
        text = self._event().decode()
        return self._random.choice([text.encode("utf-16"), b"\xef\xbb\xbf" + text.encode(), text.encode() + b"\xff"])

    def deep(self) -> bytes:
        levels = self._random.choice([65, 1_000, 20_000])
        opening, closing = self._random.choice([("[", "]"), ('{"a":', "}")])
        inner = f'{opening * levels}"{self._mark()}"{closing * levels}'
        return inner.encode() if self._random.random() < 0.5 else self._with_data("by", inner)

    def huge_number(self) -> bytes:
        number = self._random.choice(["9" * 5_000, "1e999", "-1e99999", "NaN", "Infinity", "-Infinity", "0x1"])
        return self._with_data("by", number)

    def same_key_twice(self) -> bytes:
        event = self._event().decode()
        return self._random.choice([event.replace('"id":', '"type":"x","id":'), self._with_data("name", '"x"').decode()]
        ).encode()  # fmt: skip

    def lone_surrogate(self) -> bytes:
        half = self._random.choice(["\\ud800", "\\udfff", "\\udc00\\ud800"])
        return self._with_data("by", f'"{half}"')

    def wrong_attribute(self) -> bytes:
        event = json.loads(self._event())
        names = ["specversion", "id", "type", "source", "subject", "time", "dataschema", "data", "causationid"]
        event[self._random.choice(names)] = self._random.choice(_WRONG) if self._random.random() < 0.8 else SECRET
        return json.dumps(event).encode()

    def wrong_time(self) -> bytes:
        return self._with(time=self._random.choice(_MOMENTS))

    def wrong_data(self) -> bytes:
        event = json.loads(self._event())
        name = self._random.choice(["user_id", "name", "email"])
        event["data"][name] = self._random.choice([*_WRONG, "x\r\nBcc: v@x", "a@b.c, victim@x", "\x00", "a" * 5_000])
        return json.dumps(event).encode()

    def missing(self) -> bytes:
        event = json.loads(self._event())
        for name in self._random.sample(sorted(event), self._random.randrange(1, 6)):
            del event[name]
        return json.dumps({**event, "by": self._mark()}).encode()

    def another_shape(self) -> bytes:
        return json.dumps(
            self._random.choice([[self._mark()], self._mark(), {self._mark(): 1}, {"data": self._mark()}])
        ).encode()

    def too_large(self) -> bytes:
        if self._random.random() > 0.05:  # few of them: they fill the disk
            return self._with(specversion="2.0")
        return self._with_data("by", f'"{"x" * (MAX_BYTES + self._random.randrange(200_000))}"')

    def unknown_type(self) -> bytes:
        return self._with(type=self._random.choice(["user.vanished", "x", "#", "user.*", "käse", "a" * 500, "t\u2028"]))

    def newer_version(self) -> bytes:
        version = self._random.choice(["2", "999999", "1000000", "0", "-1", "1.0", "../1"])
        return self._with(dataschema=f"/schemas/{TYPE}/{version}")

    def dramatiqs_own(self) -> bytes:
        queue = self._random.choice(["welcome-email", "activity-log", "elsewhere", "welcome-email.DQ"])
        options = self._random.choice(
            [{}, {"eta": 32_503_680_000_000}, {"time_limit": 0}, {"throws": "x"}, {"retries": 9}]
        )
        message = {"queue_name": queue, "actor_name": queue, "args": [self._mark()], "kwargs": {}, "options": options,
                   "message_id": "m", "message_timestamp": 1}  # fmt: skip
        return json.dumps(message).encode()

    def a_pickle(self) -> bytes:
        return pickle.dumps({"secret": self._mark()})

    def _registration(self) -> Any:
        mark = self._mark()
        event = UserRegistered(user_id=self._uuid(), name=f"Nr. {mark}", email=f"{mark}@example.com")
        return announce(event, source="/stranger", id=str(self._uuid()))

    def _event(self) -> bytes:
        return encode(self._registration())

    def _with(self, **attributes: Any) -> bytes:
        return json.dumps(json.loads(self._event()) | attributes).encode()

    def _with_data(self, name: str, value: str) -> bytes:
        return self._event().replace(b'"data":{', f'"data":{{"{name}":{value},'.encode())

    def _mark(self) -> str:
        self._number += 1
        return f"{SECRET}{self._number}"

    def _uuid(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def _properties(self) -> BasicProperties:
        """Whatever a broker lets in; an expiration only of a kind that does not run out here."""
        some = {
            name: self._random.choice(values) for name, values in _PROPERTIES.items() if self._random.random() < 0.4
        }
        headers = {
            name: self._random.choice(values) for name, values in _HEADERS.items() if self._random.random() < 0.3
        }
        return BasicProperties(headers=headers or None, **some)


_KINDS: list[Callable[[Strangers], bytes]] = [
    Strangers.garbage, Strangers.cut_short, Strangers.another_encoding, Strangers.deep, Strangers.huge_number,
    Strangers.same_key_twice, Strangers.lone_surrogate, Strangers.wrong_attribute, Strangers.wrong_time,
    Strangers.wrong_data, Strangers.missing, Strangers.another_shape, Strangers.too_large, Strangers.unknown_type,
    Strangers.newer_version, Strangers.dramatiqs_own, Strangers.a_pickle,
]  # fmt: skip
_WRONG: list[Any] = [None, True, 0, -1, 1.5, [], {}, "", "\x00", "x" * 501, ["a"], {"a": {"b": []}}, 10**30]
_MOMENTS = [
    "0000-00-00T00:00:00Z", "2026-02-31T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "now",
    "2026-11-26", "2026-W48-4T00:00:00Z", "2026-11-26T00:00:00." + "9" * 40 + "Z",
]  # fmt: skip
#: Exchange and routing key: to all, to the consumer of everything alone, and straight into the queues.
_PLACES = [("events", TYPE), ("events", "no.such"), ("events", ""), ("", "welcome-email"), ("", "activity-log")]
_SHORT = ["", "x", "\x00", "\u2028" * 80, "é" * 127, "../../etc/passwd", "{}", "%s%n", "a\r\nb: c"]
_PROPERTIES: dict[str, list[Any]] = {
    "content_type": ["application/x-python-pickle", "text/html", *_SHORT],
    "content_encoding": ["gzip", "utf-7", *_SHORT],
    "delivery_mode": [1, 2],
    "priority": [0, 9, 255],
    "correlation_id": _SHORT,
    "reply_to": ["welcome-email", "elsewhere", *_SHORT],
    "expiration": ["86400000", "4294967295"],
    "message_id": _SHORT,
    "timestamp": [0, 1, 2**31, 2**53, 2**63 - 1],
    "type": ["user.registered", *_SHORT],
    "app_id": _SHORT,
    "cluster_id": _SHORT,
}
_DEATH = [
    {"count": 99, "reason": "delivery_limit", "queue": "welcome-email", "exchange": "events", "routing-keys": ["x"]}
]
_HEADERS: dict[str, list[Any]] = {
    "x-attempt": [
        "three",
        "",
        -1,
        0,
        2,
        6,
        7,
        1_000,
        2**40,
        -(2**40),
        Decimal("1.5"),
        True,
        None,
        [1],
        {"a": 1},
        b"\xff",
    ],
    "x-replay": [True, False, "true", 1, None, [True]],
    "x-tidings-dead-letter": ["x", "\x00", "00000000-0000-0000-0000-000000000000", 5, None, "x" * 9_000],
    "x-tidings-consumer": ["elsewhere", "activity-log", "", 1, None],
    "x-tidings-reason": ["handler-error", "", 7, "x" * 900],
    "x-tidings-error": ["\x00", "x" * 9_000, {"a": 1}],
    "x-tidings-failed-at": ["yesterday", 0, "9999-12-31T23:59:59+00:00"],
    "traceparent": ["00-0", "\x00", "x" * 50_000, 1, ["x"]],
    "x-death": [_DEATH, _DEATH * 20, "x", 1, {}],
    "x-first-death-queue": ["elsewhere", 1],
    "x-stream-offset": [0, "first"],
    "a" * 128: ["x", 1, None, {"b": {"c": {"d": [[[[1]]]]}}}],
}
