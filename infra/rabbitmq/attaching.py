"""Keeps every lane attached to its queue: a channel each, opened again after whatever closed it; on the IO thread.

A paused lane keeps its channel for the acks of what is in flight, without a consumer on it; it needs no new one.
"""

import os
import platform
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import structlog
from pika import SelectConnection
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel

from infra.rabbitmq.deliveries import Epoch
from infra.rabbitmq.lanes import Lane
from infra.rabbitmq.modes import Mode

#: Seconds between the first failure and the next try; doubled each time.
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 10.0
#: AMQP 0-9-1 reply code: the queue does not exist.
NOT_FOUND = 404

log = structlog.get_logger(__name__)


class Attaching:
    """The lanes of one process and the connection that they are on, while there is one."""

    def __init__(self, redeclare: Callable[[], None]) -> None:
        self._redeclare = redeclare
        self._connection: SelectConnection | None = None
        self._stopped = False
        self._queue_missing = self._redeclaring = False
        self.lanes: list[Lane] = []

    def add(self, lane: Lane) -> None:
        """Take a lane in."""
        if lane not in self.lanes:
            self.lanes.append(lane)
        self._attach_all()

    def connected(self, connection: SelectConnection) -> None:
        """Attach everything to a connection that has just been opened."""
        self._connection = connection
        self._attach_all()

    def disconnected(self) -> None:
        """End every epoch: the broker delivers again what they held."""
        self._connection = None
        for lane in self.lanes:
            lane.end()

    def cancel(self) -> None:
        """Have the broker deliver nothing more; the channels stay, for the acks."""
        self._stopped = True
        for epoch in self.epochs():
            if (channel := epoch.open_channel) is not None:
                for tag in channel.consumer_tags:
                    channel.basic_cancel(tag)

    def follow(self, lane: Lane) -> None:
        """Bring a lane to the mode that is wanted of it, one step at a time: the broker's answer brings the next."""
        epoch = lane.epoch
        if not self._usable or lane not in self.lanes:
            return
        if epoch is None:
            self._attach(lane)
        elif (channel := epoch.open_channel) is not None and not epoch.cancelling:
            lane.go_on()  # which may be all that a probe needs
            if epoch.mode is not lane.mode:
                step = self._consume if epoch.mode is Mode.PAUSED else self._cancel
                step(lane, epoch, channel)

    def epochs(self) -> Iterator[Epoch]:
        """The epochs that have not ended."""
        return (lane.epoch for lane in self.lanes if lane.epoch is not None)

    def _attach_all(self) -> None:
        for lane in self.lanes:
            self.follow(lane)

    def _attach(self, lane: Lane) -> None:
        if lane.mode is not Mode.PAUSED:
            assert self._connection is not None
            self._connection.channel(on_open_callback=partial(self._opened, lane, lane.begin()))

    def _opened(self, lane: Lane, epoch: Epoch, channel: Channel) -> None:
        epoch.channel = channel
        channel.add_on_close_callback(partial(self._closed, lane, epoch))
        channel.add_on_cancel_callback(partial(self._cancelled, lane, epoch))
        self.follow(lane)

    def _consume(self, lane: Lane, epoch: Epoch, channel: Channel) -> None:
        epoch.mode = lane.mode
        epoch.consumers += 1
        prefetch = 1 if epoch.mode is Mode.PROBING else lane.prefetch
        channel.basic_qos(prefetch_count=prefetch)
        channel.basic_consume(
            lane.queue,
            on_message_callback=self._taking(lane, epoch),
            consumer_tag=_tag(lane.queue, epoch.consumers),
            callback=partial(self._consuming, lane, epoch, prefetch),
        )

    def _taking(self, lane: Lane, epoch: Epoch) -> Callable[..., None]:
        if epoch.mode is Mode.RUNNING:
            return lambda _, method, properties, body: lane.deliver(epoch, method, properties, body)

        def take(_: Channel, *delivery: Any) -> None:
            lane.deliver(epoch, *delivery)
            # This cancels before the ack goes out, which runs on this thread too: so no second message comes.
            self.follow(lane)

        return take

    def _consuming(self, lane: Lane, epoch: Epoch, prefetch: int, _frame: Any) -> None:
        epoch.attached = not epoch.cancelling
        lane.failures = 0
        log.info("consumer attached", consumer=lane.queue, prefetch=prefetch)

    def _cancel(self, lane: Lane, epoch: Epoch, channel: Channel) -> None:
        # What arrives before the broker has answered is rejected by pika, back to the queue.
        epoch.cancelling, epoch.attached = True, False
        for tag in channel.consumer_tags:
            channel.basic_cancel(tag, partial(self._cancel_answered, lane, epoch))

    def _cancel_answered(self, lane: Lane, epoch: Epoch, _frame: Any) -> None:
        epoch.mode, epoch.cancelling = Mode.PAUSED, False
        lane.go_on()
        if lane.mode is Mode.PAUSED:  # only now: while it consumed it would have been given the same ones again
            epoch.hand_back(lane.unstarted())
        log.info("consumer cancelled", consumer=lane.queue, wanted=lane.mode.value)
        if self._connection is not None:  # pika forgets the consumer's tag only after this callback
            self._connection.ioloop.call_later(0, partial(self.follow, lane))

    def _cancelled(self, lane: Lane, epoch: Epoch, _frame: Any) -> None:
        # The queue was deleted, or (4.3) an ack took longer than consumer_timeout. The channel lives on without a
        # consumer: close it, so that whatever it still holds goes back to the queue, if there is one.
        log.warning("consumer cancelled by the broker", consumer=lane.queue)
        self._queue_missing = True
        epoch.acknowledge_all()
        if (channel := epoch.open_channel) is not None:
            channel.close()

    def _closed(self, lane: Lane, epoch: Epoch, _channel: Channel, reason: Exception) -> None:
        if epoch is not lane.epoch:
            return
        lane.end()
        if self._connection is None or not self._usable:
            return
        self._queue_missing |= getattr(reason, "reply_code", None) == NOT_FOUND
        again_in = pause(lane.failures)
        lane.failures += 1
        log.warning("consumer detached", consumer=lane.queue, error=str(reason), again_in=again_in)
        self._connection.ioloop.call_later(again_in, self._recover)

    def _recover(self) -> None:
        if self._connection is None or not self._queue_missing:
            self._attach_all()
        elif not self._redeclaring:
            self._redeclaring, self._queue_missing = True, False
            loop = self._connection.ioloop
            threading.Thread(target=self._declare_again, args=(loop,), name="tidings redeclare", daemon=True).start()

    def _declare_again(self, loop: IOLoop) -> None:  # on a thread of its own: it blocks, and heartbeats must go on
        try:
            self._redeclare()
        except Exception as error:  # noqa: BLE001  # whatever it was: the lanes come back here until their queues exist
            log.warning("topology not declared again", error=f"{type(error).__name__}: {error}")
        loop.add_callback_threadsafe(self._declared_again)

    def _declared_again(self) -> None:
        self._redeclaring = False
        self._attach_all()

    @property
    def _usable(self) -> bool:
        return self._connection is not None and bool(self._connection.is_open) and not self._stopped


def _tag(queue: str, number: int) -> str:
    """A consumer's tag, a new one for each on a channel: 3.10 would deliver again what the last one has in flight."""
    return f"{queue} {here()}" + (f" {number}" if number > 1 else "")


def here() -> str:
    """Host and process, for names that an operator sees."""
    return f"{platform.node()}#{os.getpid()}"


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return float(min(FIRST_PAUSE * 2 ** min(failures, 10), LONGEST_PAUSE))
