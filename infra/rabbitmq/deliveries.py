"""One message as a channel delivered it, bound to the epoch that its tag belongs to."""

import enum
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pika.channel import Channel
from pika.spec import Basic, BasicProperties

from events.attributes import is_id
from infra.outcomes import Incoming
from infra.rabbitmq.acks import Acks
from infra.rabbitmq.messages import ATTEMPT, BACKFILL, DEAD_LETTER, REPLAY, Message
from infra.rabbitmq.modes import Mode

#: Greatest number of a try that is believed: a header is the sender's word.
MOST_ATTEMPTS = 1_000
#: Header that a quorum queue sets on what it delivers once more.
_RETURNS = "x-delivery-count"


class Verdict(enum.Enum):
    """What becomes of a delivery on its channel."""

    ACK = "ack"
    #: Give it back after a pause.
    REQUEUE = "requeue"
    #: Have the broker move it to the dead letters itself.
    REJECT = "reject"
    #: Say nothing: the broker delivers it again when the channel ends.
    LEAVE = "leave"


class Epoch:
    """One attachment of a lane to the broker: a channel, from its opening to its end; acks belong to the IO thread."""

    __slots__ = ("acks", "attached", "cancelling", "channel", "consumers", "live", "mode", "narrow")

    def __init__(self, *, narrow: bool = False) -> None:
        self.acks = Acks()
        self.live = True
        #: The channel holds no more than is at work: an ack that waits for others keeps the next delivery waiting.
        self.narrow = narrow
        #: The broker said that we consume.
        self.attached = False
        #: What it was last asked to take from the queue; none before its channel is open.
        self.mode = Mode.PAUSED
        #: The broker was told to deliver nothing more, and has not said yes yet.
        self.cancelling = False
        #: How many consumers the channel has had.
        self.consumers = 0
        self.channel: Channel | None = None

    def acknowledge(self) -> None:
        """Ack the finished prefix, in one frame."""
        channel = self.open_channel
        if channel is not None and (tag := self.acks.prefix()) is not None:
            channel.basic_ack(tag, multiple=True)

    def acknowledge_all(self) -> None:
        """Ack what is finished, what lies behind something slow too."""
        self.acknowledge()
        if (channel := self.open_channel) is not None:
            for tag in self.acks.stragglers():
                channel.basic_ack(tag)

    def give_back(self, tag: int, *, requeue: bool) -> None:
        """Give one delivery back to its queue, or else through its queue to the dead letters."""
        if (channel := self.open_channel) is not None:
            self.acks.forget(tag)
            channel.basic_nack(tag, requeue=requeue)

    def hand_back(self, tags: Sequence[int]) -> None:
        """Give back deliveries, none of them started; the queue keeps their order.

        RabbitMQ counts this toward the delivery limit of each, up to 4.3, which does not.
        """
        if tags and (channel := self.open_channel) is not None:
            self.acks.forget_all(tags)
            for tag in tags:
                channel.basic_nack(tag, requeue=True)

    @property
    def open_channel(self) -> Channel | None:
        """The channel, as long as one may write to it."""
        return self.channel if self.live and self.channel is not None and self.channel.is_open else None


class Delivery:
    """A message that is not acknowledged yet; its text form never shows the body or the headers."""

    __slots__ = ("body", "epoch", "properties", "queue", "redelivered", "subject", "tag", "verdict")

    def __init__(
        self, queue: str, epoch: Epoch, method: Basic.Deliver, properties: BasicProperties, body: bytes
    ) -> None:
        self.queue = queue
        self.epoch = epoch
        self.tag: int = method.delivery_tag
        self.redelivered: bool = method.redelivered
        self.properties = properties
        self.body = body
        #: The event's, once somebody has read it; empty for none.
        self.subject: str | None = None
        #: Nothing decided means: back to the queue. Only a decision acks.
        self.verdict = Verdict.REQUEUE

    def __repr__(self) -> str:
        return f"<delivery {self.tag} of {self.queue}, {len(self.body)} bytes>"

    @property
    def live(self) -> bool:
        """Whether an ack of it would still mean this message."""
        return self.epoch.live

    @property
    def returns(self) -> int:
        """How often the broker says that it went back to its queue, which counts toward the delivery limit."""
        count = (self.properties.headers or {}).get(_RETURNS)
        return count if isinstance(count, int) else 0  # pika's own class of it

    @property
    def message_id(self) -> str:
        """The id that the sender gave, which may be anything; empty if none."""
        return _text(self.properties.message_id)

    def incoming(self) -> Incoming:
        """What the handler's side is told about it."""
        return incoming(self.body, self.properties.headers or {}, redelivered=self.redelivered)

    def message(self) -> Message:
        """The message as it was published, as far as its properties make sense: what copies are made from."""
        said = self.properties
        return Message(
            exchange="",
            routing_key=self.queue,
            body=self.body,
            message_id=self.message_id,
            type=_text(said.type),
            headers=said.headers or {},
            correlation_id=_text(said.correlation_id) or None,
            timestamp=_moment(said.timestamp),
            app_id=_text(said.app_id),
        )


def incoming(body: bytes, headers: Mapping[str, Any], *, redelivered: bool) -> Incoming:
    """What a message says of itself, as far as it is believed."""
    letter = headers.get(DEAD_LETTER)
    return Incoming(
        body,
        _attempt(headers.get(ATTEMPT)),
        redelivered,
        headers.get(REPLAY) is True,
        letter if is_id(letter) else None,
        _sent_at(headers.get(BACKFILL)),
        headers,
    )


def _attempt(header: Any) -> int:
    if type(header) is not int or header < 1:
        return 1
    return min(header, MOST_ATTEMPTS)


def _sent_at(header: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(header)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (TypeError, ValueError, OverflowError):
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
