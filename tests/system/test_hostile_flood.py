"""Ten thousand hostile messages among good ones: each is kept with its reason, and no neighbour notices."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pika
import pytest
from sqlalchemy import select

from events.envelope import decode
from events.errors import UndecodableEvent
from infra.database.engine import connect
from infra.database.recovery_tables import DeadLetter
from infra.database.tables import table
from tests.hostility import SECRET, TYPE, Message, Strangers
from tests.installation import Installation
from tests.waiting import until

pytestmark = pytest.mark.system
HOSTILE, GOOD = 10_000, 200
CONSUMERS = ("activity-log", "welcome-email")
#: Consumer, SHA-256 of the body, reason.
Kept = tuple[str, str, str]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """One of its own, whose log is about nothing else."""
    installation = Installation(tmp_path / "state")
    try:
        installation.up()
        yield installation
    finally:
        installation.down()


class Flood:
    """Publishes, and knows what must become of it."""

    def __init__(self) -> None:
        self.strangers = Strangers(seed=3)
        #: Hostile messages so far.
        self.sent = 0
        self.good: dict[str, str] = {}
        self.kept: set[Kept] = set()
        #: Hostile ones that are events all the same, such as one with a strange but possible source.
        self.strange: set[str] = set()

    def run(self, amqp: str) -> None:
        with contextlib.closing(pika.BlockingConnection(pika.URLParameters(amqp))) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for number, message in enumerate(self.strangers.messages(HOSTILE)):
                self._expect(message)
                _publish(channel, message)
                self.sent = number + 1
                if number % (HOSTILE // GOOD) == 0:
                    event_id, email, good = self.strangers.good()
                    self.good[event_id] = email
                    _publish(channel, good)

    def _expect(self, message: Message) -> None:
        for consumer in _receivers(message):
            try:
                event = decode(message.body)
            except UndecodableEvent as error:
                self.kept.add((consumer, hashlib.sha256(message.body).hexdigest(), error.reason))
            else:
                self.strange.add(event.id)


def _publish(channel: Any, message: Message) -> None:
    channel.basic_publish(message.exchange, message.routing_key, message.body, message.properties, mandatory=True)


def _receivers(message: Message) -> list[str]:
    """The activity log takes every type, the mail's consumer one."""
    if not message.exchange:
        return [message.routing_key]
    return list(CONSUMERS) if message.routing_key == TYPE else ["activity-log"]


def kept(installation: Installation) -> set[Kept]:
    """What the keeper wrote down; no message twice."""
    letters = table(DeadLetter)
    database = connect(f"sqlite:///{installation.state}/tidings.db")
    try:
        with database.reading() as session:
            rows = session.connection().execute(select(letters.c.consumer, letters.c.body, letters.c.reason)).all()
    finally:
        database.close()
    found = {(row.consumer, hashlib.sha256(row.body).hexdigest(), row.reason) for row in rows}
    assert len(rows) == len(found)
    return found


def register(installation: Installation, count: int, has_come: Callable[[float], bool]) -> dict[str, str]:
    """People who come in by the front door all the while, each after its share of the flood: event -> address."""
    found = {}
    for number in range(count):
        until(lambda: has_come(number / count), seconds=200, what="the flood")  # noqa: B023  # called at once
        email = f"neighbour{number}@example.com"
        status, answer = installation.ask("POST", "/users", {"name": "Neighbour", "email": email})
        assert status == 201
        found[str(answer["event_id"])] = email
    return found


@pytest.mark.timeout(900)
def test_hostile_messages_are_kept_with_their_reasons_and_harm_nobody(installation: Installation) -> None:
    before = installation.process("consumers")
    flood = Flood()
    with ThreadPoolExecutor(1) as pool:
        flooding = pool.submit(flood.run, installation.status()["amqp"])
        good = register(installation, 100, lambda share: flooding.done() or flood.sent >= share * HOSTILE)
        flooding.result(200)
    good |= flood.good

    until(lambda: set(good.values()) <= set(installation.mails()), seconds=120, what="every neighbour's mail")
    until(lambda: set(good) <= set(installation.activity()), seconds=120, what="every neighbour's line")
    until(lambda: flood.kept <= kept(installation), seconds=200, what="the keeping of every hostile message")
    assert HOSTILE < len(flood.kept)  # most of them reach two consumers
    assert {"not-json", "invalid-data", "unknown-type", "newer-version", "too-large"} == {row[2] for row in flood.kept}

    assert set() == kept(installation) - flood.kept
    lines, mails = Counter(installation.activity()), Counter(installation.mails())
    assert {1} == {lines[event_id] for event_id in good}
    assert {1} == {mails[email] for email in good.values()}
    assert set(lines) <= set(good) | flood.strange
    after = installation.process("consumers")
    assert (before["pid"], "ready", before["restarts"]) == (after["pid"], after["state"], after["restarts"])
    assert [] == quoting(installation.state / "logs")


def quoting(folder: Path) -> list[str]:
    """Lines of the logs that have something of a body in them."""
    lines = [line for file in sorted(folder.iterdir()) for line in file.read_text(errors="replace").split("\n")]
    return [line[:300] for line in lines if SECRET in line][:20]
