"""The one connection on which a process consumes, its IO thread, and the acks that go out on it.

pika's SelectConnection rather than its BlockingConnection: deliveries come straight out of the frame decoder instead of
through a second queue of events, acks are written from the same loop, and a lane that has to be attached again (a
callback) does not stop the others (a blocking call would). One loop lives as long as the thread; connections come and
go on it. What raises while data is read ends the connection, and another follows; what raises in any other step ends
the thread, and the watchdog then the process: a half-dead loop helps nobody.
"""

import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pika
import structlog
from pika.adapters.select_connection import IOLoop

from infra.errors import ConfigurationError
from infra.hosts import Turns, each
from infra.outages import Outages
from infra.rabbitmq.attaching import LONGEST_PAUSE, Attaching, here, pause
from infra.rabbitmq.deliveries import Delivery, Verdict
from infra.rabbitmq.lanes import Lane
from infra.rabbitmq.modes import Mode
from infra.rabbitmq.pika_connection import TolerantConnection

#: Seconds that an ack waits for others to go with it.
GATHER = 0.002
#: Seconds after which the acks behind an unfinished delivery go one by one.
STRAGGLE = 0.02
#: Seconds before a delivery that nobody decided on is given back: without a pause it would spin.
REQUEUE_PAUSE = 5.0
#: Seconds that a connection must have lasted for the next pause to be the shortest again.
STEADY = 10.0
#: Seconds without a sign of life from the broker.
HEARTBEAT = 10
#: Seconds that the broker may keep this connection blocked; it publishes nothing, so it should never be.
BLOCKED = 60.0

log = structlog.get_logger(__name__)


class Consuming:
    """Connects at the first `consume`, keeps every lane attached until `stop`, and goes with `close`."""

    def __init__(self, url: str, name: str, redeclare: Callable[[], None]) -> None:
        self._hosts = Turns([_parameters(one) for one in each(url)])
        self._name = name
        self._loop: IOLoop  # made with the thread: it opens sockets, which a fork must not share
        self._attaching = Attaching(redeclare)
        self._connection: TolerantConnection | None = None
        self._thread = threading.Thread(target=self._run, name="tidings consuming", daemon=True)
        self._starting = threading.Lock()
        self._failures = 0
        self._opened_at = math.inf
        self._flushing = self._settling = self._closing = False
        #: When there was no connection.
        self.outages = Outages()
        #: Set when nothing new is to be started any more.
        self.stopping = threading.Event()

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self._connection is not None and bool(self._connection.is_open)

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """The IO thread, as long as it must live."""
        return () if self._closing or self._thread.ident is None else (self._thread,)

    def consume(self, lane: Lane) -> None:
        """Attach a lane as soon as there is a connection, and again whenever it was lost."""
        with self._starting:
            if self._thread.ident is None:
                self._loop = IOLoop()
                self._thread.start()
        lane.call_later = self._loop.call_later
        self._soon(partial(self._attaching.add, lane))

    def turn(self, lane: Lane, mode: Mode) -> None:
        """Have a lane take everything, nothing or one message; from any thread, and before `consume` too."""
        if lane.turn(mode):
            self._soon(partial(self._attaching.follow, lane))

    def settle(self, delivery: Delivery) -> None:
        """Do what was decided on a delivery; from any thread, and nothing if its epoch has ended."""
        epoch, tag = delivery.epoch, delivery.tag
        match delivery.verdict:
            case Verdict.ACK:
                epoch.acks.finished(tag)
                if epoch.narrow:
                    self._soon(epoch.acknowledge_all)
                else:
                    self._acknowledge()
            case Verdict.REQUEUE:
                step = partial(epoch.give_back, tag, requeue=True)
                self._soon(partial(self._loop.call_later, REQUEUE_PAUSE, step))
            case Verdict.REJECT:
                self._soon(partial(epoch.give_back, tag, requeue=False))

    def stop(self) -> None:
        """Take no new deliveries; acks still go out."""
        self.stopping.set()
        for lane in tuple(self._attaching.lanes):
            lane.stop()
        self._soon(self._attaching.cancel)

    def close(self, seconds: float = 5.0) -> None:
        """Send the last acks, close the connection and end the thread; what is unacked goes back to its queue."""
        self.stopping.set()
        self._closing = True
        if self._thread.is_alive():
            self._soon(self._close)
            self._thread.join(seconds)

    def _acknowledge(self) -> None:
        if not self._flushing:  # else somebody has just asked for the same
            self._flushing = True
            self._soon(partial(self._loop.call_later, GATHER, self._flush))

    def _soon(self, step: Callable[[], object]) -> None:
        if self._thread.is_alive():
            self._loop.add_callback_threadsafe(step)

    # All that follows runs on the IO thread.

    def _run(self) -> None:
        self._connect()
        self._loop.start()
        self._loop.close()

    def _connect(self) -> None:
        if self._closing:
            self._loop.stop()
            return
        parameters = self._hosts.current
        parameters.client_properties = {"connection_name": f"{self._name} {here()}"}
        self._connection = TolerantConnection(
            parameters,
            on_open_callback=self._opened,
            on_open_error_callback=self._lost,
            on_close_callback=self._lost,
            custom_ioloop=self._loop,
        )

    def _opened(self, connection: TolerantConnection) -> None:
        self._opened_at = time.monotonic()
        self.outages.end()
        log.info("consumers connected", name=self._name)
        self._attaching.connected(connection)

    def _lost(self, _connection: TolerantConnection, error: BaseException) -> None:
        self._attaching.disconnected()
        if self._closing:
            self._loop.stop()
            return
        self.outages.begin()
        if time.monotonic() - self._opened_at > STEADY:
            self._failures = 0
        self._opened_at = math.inf
        self._hosts.turn()
        again_in = pause(self._failures)
        self._failures += 1
        log.warning("consumers not connected", error=str(error) or type(error).__name__, again_in=again_in)
        self._loop.call_later(again_in, self._connect)

    def _close(self) -> None:
        self._settle()
        if self._connection is None or self._connection.is_closing or self._connection.is_closed:
            self._loop.stop()
        else:
            self._connection.close()  # one that is being made is given up, and its socket closed, before `_lost`

    def _flush(self) -> None:
        self._flushing = False
        for epoch in self._attaching.epochs():
            epoch.acknowledge()
        if not self._settling and any(epoch.acks.has_stragglers for epoch in self._attaching.epochs()):
            self._settling = True
            self._loop.call_later(STRAGGLE, self._settle)

    def _settle(self) -> None:
        self._settling = False
        for epoch in self._attaching.epochs():
            epoch.acknowledge_all()


def _parameters(url: str) -> Any:
    try:
        parameters = pika.URLParameters(url)
    except (ValueError, TypeError, KeyError):  # whose text may quote the password
        raise ConfigurationError(
            "The URL of RabbitMQ cannot be read: use amqp://user:password@host:port/vhost."
        ) from None
    parameters.heartbeat = HEARTBEAT
    parameters.blocked_connection_timeout = BLOCKED
    parameters.socket_timeout = parameters.stack_timeout = LONGEST_PAUSE
    return parameters
