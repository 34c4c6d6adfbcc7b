"""An ordered consumer beside the same one without an order: `python -m tests.bench.ordered [--events N]`.

Each run drains a queue that was filled before, with the deliveries and the worker of the consumers program, in this
process; a thread sends what was let go, as the relay would. Compare the rates of one machine with one another.
"""

import argparse
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pika
from sqlalchemy import func, insert, select

from events.envelope import Envelope, announce, encode
from events.users import UserRegistered
from infra.database import event_log, leases, outbox, resends
from infra.database.engine import Database, connect
from infra.database.leases import Holding
from infra.database.migrations import migrate
from infra.database.tables import Activity, Inbox, UtcDateTime, table
from infra.subscriptions import Context, Subscription
from tests.bench.servers import Servers
from tests.consumption import consuming
from tests.waiting import until

_LEASE = Holding("relay", "bench", 3_600.0)
_ADD = insert(table(Activity))
_INBOX = table(Inbox)
_COUNT = select(func.count()).select_from(_INBOX)
_SPAN = select(func.min(_INBOX.c.first_at, type_=UtcDateTime), func.max(_INBOX.c.handled_at, type_=UtcDateTime))
_PERSISTENT = pika.BasicProperties(delivery_mode=2)


def write(event: UserRegistered, context: Context) -> None:
    """One row."""
    row = {"event_id": context.event_id, "type": event.TYPE, "subject": context.subject, "time": context.time}
    context.session.connection().execute(_ADD, row)


def main() -> None:
    """Measure, and print a line for each figure."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--events", type=int, default=4_000)
    events = asked.parse_args().events
    with tempfile.TemporaryDirectory(prefix="tidings-ordered-") as folder:
        servers = Servers(Path(folder))
        servers.start()
        try:
            for kind in ("sqlite", "postgresql"):
                _measure(servers, kind, events)
        finally:
            servers.stop()


def _measure(servers: Servers, kind: str, events: int) -> None:
    many, one = [uuid4() for _ in range(events)], [uuid4()] * events
    runs = {"no order": (False, many), "a subject each": (True, many), "one subject": (True, one)}
    rates: dict[str, float] = {}
    for number, (name, (is_ordered, subjects)) in enumerate(runs.items()):
        subscription = Subscription("bench", (UserRegistered.TYPE,), write, ordered=is_ordered)
        rates[name] = _rate(servers, kind, number, subscription, subjects)
        _say(f"{kind}: {name}: {rates[name]:,.0f} events/s, {rates[name] / rates['no order']:.2f}x")


def _rate(servers: Servers, kind: str, number: int, subscription: Subscription, subjects: list[UUID]) -> float:
    place = servers.place("ordered", kind, number)
    migrate(place.database)
    with closing(connect(place.database)) as database:
        with consuming(place.amqp, database, [subscription], {}):
            pass  # which declares the queue
        _fill(database, place.amqp, subscription.consumer, subjects)
        with _sending(database, place.amqp), consuming(place.amqp, database, [subscription], {}):
            until(lambda: _row(database, _COUNT)[0] >= len(subjects), seconds=300, what="the end of the queue")
        first, last = _row(database, _SPAN)
        return len(subjects) / float((last - first).total_seconds())


def _fill(database: Database, url: str, queue: str, subjects: list[UUID]) -> None:
    made = [announce(UserRegistered(user_id=each, name="Ada", email="a@b.com"), source="/bench") for each in subjects]
    with database.transaction() as session:
        leases.acquire(session, _LEASE.name, _LEASE.holder, _LEASE.seconds)
    for start in range(0, len(made), 500):
        _log(database, made[start : start + 500])
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        for envelope in made:
            channel.basic_publish("", queue, encode(envelope), _PERSISTENT)
        until(
            lambda: channel.queue_declare(queue, passive=True).method.message_count >= len(made),
            seconds=60,
            what="a full queue",
        )


def _log(database: Database, envelopes: list[Envelope]) -> None:
    with database.transaction() as session:
        outbox.add_all(session, [(each, None) for each in envelopes])
    with database.transaction() as session:
        event_log.publish(session, outbox.due(session, 1_000), lease=_LEASE)


@contextmanager
def _sending(database: Database, url: str) -> Iterator[None]:
    over = threading.Event()

    def send() -> None:
        with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
            channel = connection.channel()
            while not over.wait(0.005):
                with database.transaction() as session:
                    found = resends.waiting(session, 200)
                    resends.remove(session, found)
                for row in found:
                    channel.basic_publish("", row.consumer, row.body, _PERSISTENT)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _row(database: Database, query: Any) -> Any:
    with database.reading() as session:
        return session.connection().execute(query).one()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
