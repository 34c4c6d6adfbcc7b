"""What a handler holds in its hand: it collects, and the delivery commits all of it at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid5

import structlog
from sqlmodel import Session
from structlog.stdlib import BoundLogger

from events.envelope import Envelope, Event, announce
from infra.effects import Intent
from infra.errors import ConfigurationError

T = TypeVar("T")
#: What writes for several deliveries at once, and what it is to write for one.
Joint = tuple[Callable[[Session, Sequence[Any]], None], Any]
#: Idempotency keys are made from what makes an effect the same effect (RFC 9562, section 5.5).
_KEYS = UUID("6c1f6d1e-9d0b-5f0c-8f5e-7f3a2f5b8f11")


@dataclass(slots=True)
class DeliveryContext:
    """The `Context` of one try; see `infra.subscriptions` for what its users may rely on."""

    envelope: Envelope
    consumer: str
    attempt: int
    is_replay: bool
    #: Claims the event and gives the transaction; called once, at the first use.
    begin: Callable[[], Session]
    #: What the program was put together with, by its class.
    provisions: Mapping[type, object] = field(default_factory=dict, repr=False)
    #: Event types that it may publish; None: any.
    publishes: tuple[str, ...] | None = None
    published: list[tuple[Envelope, datetime | None]] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    #: Effects that earlier commits of the same event wrote down, and those of them that are to be performed now.
    intended: int = 0
    owed: list[Intent] = field(default_factory=list)
    #: What else is to be written with it, in one go with the like of other deliveries that share the transaction.
    joint: list[Joint] = field(default_factory=list, repr=False)
    #: What is to be done, without fail, when the transaction is committed.
    after_commit: list[Callable[[], None]] = field(default_factory=list, repr=False)
    #: What is to be done when it was overtaken, so that nothing of it was committed.
    after_loss: list[Callable[[], None]] = field(default_factory=list, repr=False)
    _session: Session | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the handler asked for the transaction."""
        return self._session is not None

    @property
    def session(self) -> Session:
        """The delivery's transaction; a handler that never asks for it keeps nobody waiting."""
        if self._session is None:
            self._session = self.begin()
        return self._session

    @property
    def event(self) -> Event:
        """What happened."""
        return self.envelope.data

    @property
    def event_id(self) -> str:
        """Id of the event."""
        return self.envelope.id

    @property
    def subject(self) -> str | None:
        """What the event is about."""
        return self.envelope.subject

    @property
    def time(self) -> datetime:
        """When it happened."""
        return self.envelope.time

    @property
    def mail(self) -> "DeliveryContext":
        """The mails of this delivery, which are effects like any other."""
        return self

    @property
    def log(self) -> BoundLogger:
        """A logger that says on each line which event and which consumer."""
        logger: BoundLogger = structlog.get_logger(self.consumer)
        return logger.bind(event_id=self.event_id, consumer=self.consumer)

    def provided(self, kind: type[T]) -> T:
        """What the program was given of this class.

        Raises:
            ConfigurationError: nothing.
        """
        found = self.provisions.get(kind)
        if not isinstance(found, kind):
            raise ConfigurationError(f"This program provides its consumers with no {kind.__name__}.")
        return found

    def publish(self, event: Event, at: datetime | None = None) -> str:
        """Add an event to the outbox, its cause being this one; what is announced for later happens then.

        Raises:
            ConfigurationError: the subscription says what is published, and this type is not among it.
            ValueError: `at` has no zone.
        """
        if self.publishes is not None and event.TYPE not in self.publishes:
            raise ConfigurationError(
                f"{self.consumer} may not publish {event.TYPE}: "
                f"add {type(event).__name__} to `publishes=` of its @subscribe."
            )
        if at is not None and at.utcoffset() is None:
            raise ValueError("context.publish: give `at` a zone, as in datetime.now(UTC) + timedelta(hours=1).")
        later = at if at is not None and at > datetime.now(UTC) else None
        source, trace = f"/consumers/{self.consumer}", self.envelope.traceparent
        envelope = announce(event, source=source, cause=self.envelope, time=later, traceparent=trace)
        self.published.append((envelope, at))
        return envelope.id

    def send(self, template: str, *, to: str, **values: Any) -> None:
        """Intend a mail."""
        self.perform("mail", template=template, to=to, values=values)

    def perform(self, effect: str, **arguments: Any) -> None:
        """Intend any effect."""
        ordinal = self.intended + len(self.intents)
        key = str(uuid5(_KEYS, f"{self.event_id}/{self.consumer}/{ordinal}"))
        self.intents.append(Intent(self.event_id, self.consumer, ordinal, effect, arguments, key))
