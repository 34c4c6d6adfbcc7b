"""Who listens to what, as pure data: `@subscribe` records a handler, and nothing else happens until a program asks."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from events.envelope import Event
from infra.errors import ConfigurationError
from infra.handlers import Context, Handler, Mail
from infra.naming import UNKNOWN, is_name, problem_of
from infra.retrying import TIERS, Retry, RetryAfter

__all__ = [
    "EVERY_TYPE",
    "TIERS",
    "UNKNOWN",
    "Batch",
    "Context",
    "Guard",
    "Handler",
    "Mail",
    "Retry",
    "RetryAfter",
    "Subscription",
    "described",
    "enter",
    "forget",
    "is_name",
    "recorded",
    "subscribe",
]
#: The binding key of a topic exchange that matches every event type.
EVERY_TYPE = "#"
#: Failures in a row after which a consumer pauses itself, unless it says otherwise.
PAUSE_AFTER = 20
_LARGEST_BATCH, _LONGEST_WAIT = 5_000, 60.0


H = TypeVar("H", bound=Handler)
#: `where(event)`: whether the consumer wants it.
Guard = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Batch:
    """How a consumer takes several events at once: its handler gets a list of contexts, in one transaction.

    When the handler fails each half is tried, and so on: a bad event fails alone, the others are handled in batches.
    """

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
    #: Asked about each event of its types: one that it says no to is settled as filtered, without the handler.
    where: Guard | None = field(default=None, repr=False)
    #: Events of one subject are handled in the order of the log, even through retries.
    ordered: bool = False
    #: Event types that its handler may publish; None: any, and nothing is known of them beforehand.
    publishes: tuple[str, ...] | None = None
    #: Deliveries that a worker process may hold unacknowledged; None: what its lane finds best.
    prefetch: int | None = None
    #: Of a kind of jobs, as JSON: its parameters and its result, for those who cannot import its module.
    job: Mapping[str, Any] | None = field(default=None, repr=False)

    def takes(self, event_type: str) -> bool:
        """Whether events of this type are for this consumer."""
        return self.types == (EVERY_TYPE,) or event_type in self.types

    def wants(self, event: Event) -> bool:
        """Whether its guard, if it has one, says yes to an event of its types; what the guard raises comes out."""
        return self.where is None or bool(self.where(event))


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
    where: Guard | None = None,
    ordered: bool = False,
    publishes: type[Event] | Iterable[type[Event]] | None = None,
) -> Callable[[H], H]:
    """Record a handler under a durable name, for one event class, several, or `Event` for all; it stays a function.

    Raises:
        ConfigurationError: the name cannot name a queue or is taken, or an option makes no sense.
    """
    _check(consumer, concurrency, timeout, batch)
    _check_pause(consumer, pause_after)
    _check_guard(consumer, where)
    if ordered and batch is not None:
        raise ConfigurationError(f"{consumer}: a batch mixes subjects, so it cannot be ordered too: leave one out.")

    def record(handler: H) -> H:
        _recorded[consumer] = Subscription(
            consumer=consumer,
            types=_types(to),
            handler=handler,
            concurrency=concurrency,
            timeout=timeout,
            retry=retry,
            description=first_line(handler.__doc__),
            batch=batch,
            pause_after=pause_after,
            where=where,
            ordered=ordered,
            publishes=None if publishes is None else types_of(publishes),
        )
        return handler

    return record


def enter(subscription: Subscription) -> None:
    """Record one that was put together elsewhere, such as a kind of jobs.

    Raises:
        ConfigurationError: as `subscribe` does.
    """
    _check(subscription.consumer, subscription.concurrency, subscription.timeout, subscription.batch)
    _check_pause(subscription.consumer, subscription.pause_after)
    _recorded[subscription.consumer] = subscription


def recorded() -> tuple[Subscription, ...]:
    """All subscriptions of the modules imported so far, by name."""
    return tuple(_recorded[name] for name in sorted(_recorded))


def forget(consumer: str) -> None:
    """Take a record back, for a test or a module that is loaded again."""
    _recorded.pop(consumer, None)


def described(subscription: Subscription) -> dict[str, Any]:
    """Its options as JSON, kept in the database for those who cannot import its module: the gateway and its pages."""
    batch, retry = subscription.batch, subscription.retry
    return {
        "module": subscription.handler.__module__,
        "concurrency": subscription.concurrency,
        "timeout": subscription.timeout,
        "batch": None if batch is None else {"size": batch.size, "wait": batch.wait},
        "ordered": subscription.ordered,
        "filtered": subscription.where is not None,
        "pause_after": subscription.pause_after,
        "retry": {"delays": list(retry.delays), "rules": len(retry.rules), "max_age": retry.max_age},
        "publishes": None if subscription.publishes is None else list(subscription.publishes),
        "job": None if subscription.job is None else dict(subscription.job),
    }


def _types(to: type[Event] | Iterable[type[Event]]) -> tuple[str, ...]:
    classes = _classes(to)
    if not classes:
        raise ConfigurationError("A consumer listens to at least one event class: @subscribe(…, to=UserRegistered).")
    for family in (cls for cls in classes if cls is not Event and cls.MEMBER is not None):
        raise ConfigurationError(
            f"{family.__name__} is a family of types, whose members have a consumer each: see @job."
        )
    return (EVERY_TYPE,) if Event in classes else tuple(sorted({cls.TYPE for cls in classes}))


def types_of(publishes: type[Event] | Iterable[type[Event]]) -> tuple[str, ...]:
    """The types of one event class or several, in order."""
    return tuple(sorted({cls.TYPE for cls in _classes(publishes)}))


def _classes(some: type[Event] | Iterable[type[Event]]) -> tuple[type[Event], ...]:
    return (some,) if isinstance(some, type) else tuple(some)


def _check(consumer: str, concurrency: int, timeout: float, batch: Batch | None) -> None:
    if (problem := problem_of(consumer)) is not None:
        raise ConfigurationError(problem)
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


def _check_guard(consumer: str, where: Guard | None) -> None:
    if where is not None and (not callable(where) or inspect.iscoroutinefunction(where)):
        raise ConfigurationError(f"{consumer}: where is a plain function of the event, as in where=lambda event: …")


def first_line(docstring: str | None) -> str:
    """What the first line of a docstring says: the description of what it stands above."""
    return (docstring or "").strip().partition("\n")[0]
