"""The activity log in batches beside the same lines one by one: `python -m tests.bench.batch [--events N]`.

Each run drains a queue that was filled before, with the deliveries and the worker of the consumers program, in this
process. Whoever measures compares the rates of one machine with one another.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pika
from sqlalchemy import func, insert, select

from consumers import activity_log
from events.clock import DayEnded
from events.envelope import Event, announce, encode
from infra.database.engine import Database, connect
from infra.database.migrations import migrate
from infra.database.tables import Activity, Inbox, UtcDateTime, table
from infra.subscriptions import Batch, Context, Subscription, recorded
from tests.bench.servers import Servers
from tests.consumption import consuming
from tests.waiting import until

#: What the batches are tried with: events at most, seconds that the first one waits.
BATCHES = (Batch(50, 0.02), Batch(500, 0.02), Batch(500, 0.2), Batch(1000, 0.02))
_ADD = insert(table(Activity))
_INBOX = table(Inbox)
_COUNT = select(func.count()).select_from(_INBOX)
_SPAN = select(func.min(_INBOX.c.first_at, type_=UtcDateTime), func.max(_INBOX.c.handled_at, type_=UtcDateTime))


def log_one(event: Event, context: Context) -> None:
    """Write the line of one event, as the activity log did before it took batches."""
    row = {"event_id": context.event_id, "type": event.TYPE, "subject": context.subject, "time": context.time}
    context.session.connection().execute(_ADD, row)


def main() -> None:
    """Measure, and print a line for each figure."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--events", type=int, default=10_000)
    asked.add_argument("--rounds", type=int, default=3)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidings-batch-") as folder:
        servers = Servers(Path(folder))
        servers.start()
        try:
            for kind in ("sqlite", "postgresql"):
                _measure(servers, kind, options.events, options.rounds)
        finally:
            servers.stop()


@dataclass(frozen=True, slots=True)
class Drain:
    """What draining a queue took."""

    #: Events per second, from the first one's begin to the last one's end.
    rate: float
    #: Seconds of this process's CPU time for a thousand events, the attachment included.
    cpu: float


def _measure(servers: Servers, kind: str, events: int, rounds: int) -> None:
    drains: dict[str, list[Drain]] = {}
    number = 0
    for _ in range(rounds):
        for name, subscription in _variants():
            number += 1
            drains.setdefault(name, []).append(_drain(servers, kind, number, subscription, events))
    alone = _middle(drains["one by one"])
    for name, found in drains.items():
        middle, rates = _middle(found), [each.rate for each in found]
        speed = f"{middle.rate:,.0f} events/s ({min(rates):,.0f} to {max(rates):,.0f}), {middle.rate / alone.rate:.1f}x"
        _say(f"{kind}: {name}: {speed}; {middle.cpu:.2f} s CPU for 1,000, {alone.cpu / middle.cpu:.1f}x less")


def _middle(found: list[Drain]) -> Drain:
    return Drain(statistics.median(each.rate for each in found), statistics.median(each.cpu for each in found))


def _variants() -> Iterator[tuple[str, Subscription]]:
    (ours,) = [each for each in recorded() if each.handler is activity_log.log_activity]
    ours = replace(ours, consumer="bench")
    assert ours.batch is not None
    yield "one by one", replace(ours, handler=log_one, batch=None)
    yield f"as it is ({_words(ours.batch)})", ours
    for batch in BATCHES:
        yield _words(batch), replace(ours, batch=batch)


def _drain(servers: Servers, kind: str, number: int, subscription: Subscription, events: int) -> Drain:
    place = servers.place("batch", kind, number)
    migrate(place.database)
    with closing(connect(place.database)) as database:
        with consuming(place.amqp, database, [subscription], {}):
            pass  # which declares the queue
        _fill(place.amqp, subscription.consumer, events)
        before = time.process_time()
        with consuming(place.amqp, database, [subscription], {}):
            until(lambda: _row(database, _COUNT)[0] >= events, seconds=300, what="the end of the queue")
        cpu = (time.process_time() - before) / events * 1_000
        first, last = _row(database, _SPAN)
        return Drain(events / float((last - first).total_seconds()), cpu)


def _row(database: Database, query: Any) -> Any:
    with database.reading() as session:
        return session.connection().execute(query).one()


def _fill(url: str, queue: str, events: int) -> None:
    persistent = pika.BasicProperties(delivery_mode=2)
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        for number in range(events):
            envelope = announce(DayEnded(day=date(2026, 1, 1) + timedelta(number % 365)), source="/bench")
            channel.basic_publish("", queue, encode(envelope), persistent)
        until(lambda: _waiting(channel, queue) >= events, seconds=60, what="a full queue")


def _waiting(channel: Any, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def _words(batch: Batch) -> str:
    return f"at most {batch.size}, {batch.wait:g} s"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
