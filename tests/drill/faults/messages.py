"""What is on the bus: too many copies, and what nobody can handle."""

import threading
import time

import pika
from sqlalchemy import select

from events.users import UserRegistered
from infra.database.tables import EventLog, table
from infra.rabbitmq.messages import event_message
from infra.rabbitmq.topology import EVENTS
from tests.drill.faults.fault import Fault
from tests.drill.stage import Stage

_LOG = table(EventLog)
#: Seconds between two looks for new events.
_LOOK = 0.1


class DuplicateStorm(Fault):
    """Every event comes three times: what is new in the event log is published twice more, past the relay."""

    name = "duplicate-storm"
    seconds = 10.0

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def inject(self, stage: Stage) -> None:
        self._ending.clear()
        self._thread = threading.Thread(target=self._storm, args=(stage,), name="storm", daemon=True)
        self._thread.start()

    def heal(self, stage: Stage) -> float:
        self._ending.set()
        if self._thread is not None:
            self._thread.join(30)
        return time.time()

    def _storm(self, stage: Stage) -> None:
        position = 0
        with stage.api.channel(stage.node.amqp) as channel:
            while not self._ending.wait(_LOOK):
                query = select(_LOG).order_by(_LOG.c.position.desc()).limit(500)
                with stage.database.reading() as session:
                    rows = [row for row in session.connection().execute(query) if row.position > position]
                for row in reversed(rows if position else []):
                    _publish_twice(channel, row.event_id, row.type, row.body.encode())
                position = max([position, *(row.position for row in rows)])


def _publish_twice(channel: pika.channel.Channel, event_id: str, event_type: str, body: bytes) -> None:
    message = event_message(event_id, event_type, body)
    properties = pika.BasicProperties(
        message_id=message.message_id, type=message.type, headers=message.headers, delivery_mode=2
    )
    for _ in range(2):
        channel.basic_publish(message.exchange, message.routing_key, message.body, properties)


class Poison(Fault):
    """Among good events come some that a consumer never manages, and bytes that are no event at all."""

    name = "poison"
    #: Messages of bytes that are no event, to the exchange, where all consumers of the type get them.
    hostile = 10

    def inject(self, stage: Stage) -> None:
        stage.load.poison_every = 4
        with stage.api.channel(stage.node.amqp) as channel:
            channel.confirm_delivery()
            for number in range(self.hostile):
                body = f"no event {time.time_ns()} {number}".encode()
                channel.basic_publish(EVENTS, UserRegistered.TYPE, body, pika.BasicProperties(delivery_mode=2))
                stage.hostile += len(stage.listeners(UserRegistered.TYPE))

    def heal(self, stage: Stage) -> float:
        stage.load.poison_every = 0
        return time.time()
