"""What the function of a kind of jobs is given beside its parameters: the protocol that such modules are typed with."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, BinaryIO, ClassVar, Protocol, TypeVar

from sqlmodel import Session
from structlog.stdlib import BoundLogger

from events.envelope import Event
from infra.handlers import Mail

T = TypeVar("T")


class Stopped(BaseException):
    """The work on a job is to end here. Let it pass; it is no Exception, so that none catches it who means errors."""

    CANCELLED: ClassVar[str] = "It was cancelled."
    LOST: ClassVar[str] = "Another worker has this job now."
    STOPPING: ClassVar[str] = "Its worker is stopping, and another one goes on with it."
    LONG: ClassVar[str] = "It takes long, so it goes on in a new delivery, before the broker takes its worker for lost."

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Job(Protocol):
    """One try of one job. No transaction is open while its function works, so it may take as long as it needs to.

    What it publishes, mails or intends otherwise is committed with its next checkpoint, or with its end.
    """

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def attempt(self) -> int:
        """1 for the first try; one that goes on where it was handed back is still the same."""

    @property
    def requested_at(self) -> datetime:
        """When it was asked for."""

    @property
    def resume_state(self) -> Any:
        """What the last checkpoint said; None when there was none, and the work begins at its beginning."""

    @property
    def log(self) -> BoundLogger:
        """A logger whose lines name the job and its kind."""

    @property
    def mail(self) -> Mail:
        """The mails of this job."""

    def progress(self, done: float, of: float = 1.0, text: str = "") -> None:
        """Say how far it is; costs next to nothing, so say it as often as you like.

        Raises:
            Stopped: the work is to end here: it was cancelled, or goes on elsewhere from its last checkpoint.
        """

    def checkpoint(self, state: Any) -> None:
        """Write down where to go on after a crash, as JSON, in a commit with what was published and mailed so far.

        Raises:
            Stopped: as above.
        """

    def step(self, state: Any) -> AbstractContextManager[Session]:
        """A checkpoint with rows of one's own in the same commit: whatever happens, the step's rows are there once.

        Raises:
            Stopped: as above.
        """

    def cancelled(self) -> bool:
        """Whether it is to be cancelled: whoever asks may clean up, and return what they like."""

    def publish(self, event: Event, at: datetime | None = None) -> str:
        """Add an event to the outbox, its cause being the request for this job. Gives its id."""

    def perform(self, effect: str, **arguments: Any) -> None:
        """Intend any other effect: a function registered under this durable name."""

    def provided(self, kind: type[T]) -> T:
        """What the program was put together with, asked for by its class: `Settings`, `Database`."""

    def file(self, name: str, media_type: str) -> AbstractContextManager[BinaryIO]:
        """Write a file of the result, piece by piece; it counts when the job succeeds. The first is the main one."""


#: `handler(parameters, job)`, which may be `async def`; what it gives is the job's result, unless that is None.
JobHandler = Callable[..., Any]
