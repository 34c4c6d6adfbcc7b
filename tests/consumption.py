"""The consumers program inside a test: real deliveries on a real broker, for subscriptions of the test's own."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dramatiq import Worker

from infra.database import consumers
from infra.database.engine import Database
from infra.delivery import Deliveries
from infra.effects import Performer
from infra.rabbitmq.blocking import BlockingPublisher
from infra.rabbitmq.broker import TidingsBroker
from infra.recovery import keeping
from infra.recovery.keeping import Keeper
from infra.subscriptions import Subscription
from tests.waiting import until


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a test may look at while it runs."""

    broker: TidingsBroker
    worker: Worker

    @property
    def all_threads_live(self) -> bool:
        """Whether no thread of the worker has died."""
        return all(thread.is_alive() for thread in [*self.worker.workers, *self.worker.consumers.values()])


@contextlib.contextmanager
def consuming(
    vhost: str,
    database: Database,
    subscriptions: Sequence[Subscription],
    performers: Mapping[str, Performer],
    *,
    keeper: Keeper | None = None,
) -> Iterator[Consumption]:
    """Meanwhile these consumers are recorded, declared and at work, and a keeper if one is given."""
    with database.transaction() as session:
        consumers.declare(session, subscriptions)
    topology = [(each.consumer, each.types, each.description) for each in subscriptions]
    publisher = BlockingPublisher(vhost, name="test consumers")
    publisher.declare(topology)
    broker = TidingsBroker(vhost, publish=publisher.publish, redeclare=lambda: publisher.declare(topology), grace=5.0)
    deliveries = Deliveries(database, performers, is_stopping=lambda: broker.is_stopping)
    for subscription in subscriptions:
        broker.attach(subscription, deliveries.handler(subscription))
    if keeper is not None:
        broker.attach(keeping.subscription(), keeper.keep)
    worker = Worker(broker, worker_threads=broker.threads, worker_timeout=100)
    worker.start()
    try:
        until(lambda: all(broker.attached.values()), what="the consumers' attachment")
        yield Consumption(broker, worker)
    finally:
        worker.stop(timeout=20_000)
        broker.close()
        publisher.close()
