"""From a fire to the bus: a subscriber of RabbitMQ has the event within 100 ms, whichever replica publishes."""

import sys
import time
from collections.abc import Iterator
from statistics import median, quantiles

import pytest
from sqlalchemy import select

from events.envelope import decode
from infra.database.tables import ScheduleRun, table
from infra.rabbitmq.topology import EVENTS
from tests.system.replicas.fleet import Fleet
from tests.system.replicas.ticking import ReplicaTicked

pytestmark = [pytest.mark.system, pytest.mark.alone]
#: Events that are looked at, after the first ones, which meet cold programs.
EVENTS_SEEN, COLD = 12, 3
_RUN = table(ScheduleRun)


def arrivals(fleet: Fleet) -> Iterator[tuple[str, float]]:
    """The ids of events as they come to a queue of ours, and when (time.time())."""
    with fleet.channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, EVENTS, ReplicaTicked.TYPE)
        for method, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=30):
            now = time.time()
            assert method is not None, "no event came for 30 s"
            yield decode(body).id, now


@pytest.fixture
def started(fleet: Fleet) -> Fleet:
    fleet.start()
    return fleet


@pytest.mark.timeout(200)
def test_an_event_is_on_the_bus_within_a_tenth_of_a_second_of_its_fire(started: Fleet) -> None:
    arrived = dict(one for _, one in zip(range(COLD + EVENTS_SEEN), arrivals(started), strict=False))
    with started.database.reading() as session:
        rows = session.connection().execute(select(_RUN.c.event_id, _RUN.c.fired_at, _RUN.c.due_at))
        fired = {row.event_id: (row.fired_at.timestamp(), row.due_at.timestamp()) for row in rows}
    warm = list(arrived.items())[COLD:]
    since_fire = [at - fired[event][0] for event, at in warm]
    since_due = [at - fired[event][1] for event, at in warm]
    sys.stderr.write(f"from the fire {_shown(since_fire)}, from the due time {_shown(since_due)}\n")
    assert median(since_fire) < 0.1


def _shown(seconds: list[float]) -> str:
    return f"median {median(seconds) * 1000:.0f} ms, p90 {quantiles(seconds, n=10)[-1] * 1000:.0f} ms"
