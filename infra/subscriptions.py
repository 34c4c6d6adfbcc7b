"""Who listens to what, as pure data: `@subscribe` records a handler, and nothing else happens until a program asks."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlmodel import Session
from structlog.stdlib import BoundLogger

from events.envelope import Event
from infra.errors import ConfigurationError
from infra.retrying import TIERS, Retry, RetryAfter

__all__ = [
    "EVERY_TYPE",
    "TIERS",
    "Batch",
    "Context",
    "Handler",
    "Mail",
    "Retry",
    "RetryAfter",
    "Subscription",
    "forget",
    "is_name",
    "recorded",
    "subscribe",
]
#: The binding key of a topic exchange that matches every event type.
EVERY_TYPE = "#"
#: Failures in a row after which a consumer pauses itself, unless it says otherwise.
PAUSE_AFTER = 20
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME = 100
_LARGEST_BATCH, _LONGEST_WAIT = 5_000, 60.0
#: Stands for the consumer of a dead letter that does not say whose it is.
UNKNOWN = "unknown"
_RESERVED = frozenset({"events", "dead", "dead-letters", UNKNOWN})


T = TypeVar("T")


class Mail(Protocol):
    """The e-mails of one delivery."""

    def send(self, template: str, *, to: str, **values: Any) -> None:
        """Intend a mail: committed with the handler's rows, sent after the commit."""


class Context(Protocol):
    """What a handler is given beside its event; all of it takes effect in the delivery's one commit, or not at all."""

    @property
    def event(self) -> Any:
        """What happened."""

    @property
    def event_id(self) -> str:
        """Id of the event."""

    @property
    def subject(self) -> str | None:
        """What the event is about, as its envelope has it."""

    @property
    def time(self) -> datetime:
        """When it happened."""

    @property
    def attempt(self) -> int:
        """1 for the first try."""

    @property
    def is_replay(self) -> bool:
        """Whether an operator replays the event."""

    @property
    def log(self) -> BoundLogger:
        """A logger whose lines name the event and the consumer."""

    @property
    def mail(self) -> Mail:
        """The mails of this delivery."""

    @property
    def session(self) -> Session:
        """The delivery's transaction, begun at its first use."""

    def provided(self, kind: type[T]) -> T:
        """What the program was put together with, asked for by its class: `Settings`, `Database`, `Checks`.

        The database is for what takes long, in transactions of its own, before the delivery's begins: reading much, or
        changing so much that it goes piece by piece.
        """

    def publish(self, event: Event, at: datetime | None = None) -> str:
        """Add an event to the outbox, its cause being this one. Gives its id.

        `at`, a moment with its zone, holds it back until then, over restarts of everything; that is its `time`, too.
        While it waits, operators see it in `GET /events?state=waiting`, and may move or cancel it. Its consumers hear
        of it as soon as that moment has come; one in the past means at once.

        Raises:
            ValueError: `at` has no zone.
        """

    def perform(self, effect: str, **arguments: Any) -> None:
        """Intend any other effect: a function registered under this durable name, called after the commit."""


#: `handler(event, context)`; with `batch`, `handler(contexts)`; may be `async def`.
Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class Batch:
    """How a consumer takes several events at once: its handler gets a list of contexts, in one transaction."""

    #: Events at most.
    size: int = 100
    #: Seconds that the first one waits for others.
    wait: float = 0.02


@dataclass(frozen=True, slots=True)
class Subscription:
    """One consumer: its durable name is the name of its queue."""

    consumer: str
    #: Event types, or `EVERY_TYPE` alone; each is a binding key too.
    types: tuple[str, ...]
    handler: Handler = field(repr=False)
    #: Deliveries in flight at once in one worker process: the consumer's own lane.
    concurrency: int = 4
    #: Seconds that a handler may take before it is interrupted.
    timeout: float = 60.0
    retry: Retry = Retry.DEFAULT
    description: str = ""
    batch: Batch | None = None
    #: Failures in a row after which it pauses itself; None: never.
    pause_after: int | None = PAUSE_AFTER

    def takes(self, event_type: str) -> bool:
        """Whether events of this type are for this consumer."""
        return self.types == (EVERY_TYPE,) or event_type in self.types


_recorded: dict[str, Subscription] = {}


def subscribe(  # noqa: PLR0913  # each has a default
    consumer: str,
    *,
    to: type[Event] | Iterable[type[Event]],
    concurrency: int = 4,
    timeout: float = 60.0,
    retry: Retry = Retry.DEFAULT,
    batch: Batch | None = None,
    pause_after: int | None = PAUSE_AFTER,
) -> Callable[[H], H]:
    """Record a handler under a durable name, for one event class, several, or `Event` for all; it stays a function.

    Raises:
        ConfigurationError: the name cannot name a queue or is taken, or an option makes no sense.
    """
    _check(consumer, concurrency, timeout, batch)
    _check_pause(consumer, pause_after)

    def record(handler: H) -> H:
        _recorded[consumer] = Subscription(
            consumer,
            _types(to),
            handler,
            concurrency,
            timeout,
            retry,
            _first_line(handler.__doc__),
            batch,
            pause_after,
        )
        return handler

    return record


def recorded() -> tuple[Subscription, ...]:
    """All subscriptions of the modules imported so far, by name."""
    return tuple(_recorded[name] for name in sorted(_recorded))


def forget(consumer: str) -> None:
    """Take a record back, for a test or a module that is loaded again."""
    _recorded.pop(consumer, None)


def is_name(text: str) -> bool:
    """Whether it can name a consumer and its queue."""
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None and text not in _RESERVED


def _types(to: type[Event] | Iterable[type[Event]]) -> tuple[str, ...]:
    classes = (to,) if isinstance(to, type) else tuple(to)
    if not classes:
        raise ConfigurationError("A consumer listens to at least one event class: @subscribe(…, to=UserRegistered).")
    return (EVERY_TYPE,) if Event in classes else tuple(sorted({cls.TYPE for cls in classes}))


def _check(consumer: str, concurrency: int, timeout: float, batch: Batch | None) -> None:
    if len(consumer) > _LONGEST_NAME:
        raise ConfigurationError(f"A consumer's name has {_LONGEST_NAME} characters at most: {consumer[:40]}…")
    if not is_name(consumer):
        raise ConfigurationError(f"{consumer!r} cannot name a consumer: use words of a-z and 0-9 joined by '-'.")
    if consumer in _recorded:
        raise ConfigurationError(f"The name {consumer!r} is taken by {_recorded[consumer].handler.__module__}.")
    if concurrency < 1 or timeout <= 0:
        raise ConfigurationError(f"{consumer}: concurrency must be at least 1 and timeout above 0 seconds.")
    if batch is not None and not (1 < batch.size <= _LARGEST_BATCH and 0 < batch.wait <= _LONGEST_WAIT):
        raise ConfigurationError(
            f"{consumer}: a batch has 2 to {_LARGEST_BATCH} events and waits up to {_LONGEST_WAIT:g} s, but not 0."
        )


def _check_pause(consumer: str, after: int | None) -> None:
    if after is not None and (type(after) is not int or after < 1):
        raise ConfigurationError(f"{consumer}: pause_after is a number of failures from 1 up, or None for never.")


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]
