"""What a handler is given beside its event: the protocols that consumers' modules are typed with."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlmodel import Session
from structlog.stdlib import BoundLogger

from events.envelope import Envelope, Event

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
    def envelope(self) -> Envelope:
        """The event with all that is known of it: its causes, its trace."""

    @property
    def consumer(self) -> str:
        """The durable name of the consumer whose handler this is."""

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
        """Whether the event is told anew: an operator replays it, or it is of the past and a backfill sends it."""

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
            ConfigurationError: `@subscribe(publishes=…)` does not name the event's class.
            ValueError: `at` has no zone.
        """

    def perform(self, effect: str, **arguments: Any) -> None:
        """Intend any other effect: a function registered under this durable name, called after the commit."""


#: `handler(event, context)`; with `batch`, `handler(contexts)`; may be `async def`.
Handler = Callable[..., Any]
