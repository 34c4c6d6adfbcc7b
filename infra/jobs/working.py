"""What the function of a job holds in its hand: it says how far it is, and where to go on, and learns when to end."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar

import structlog
from sqlmodel import Session
from structlog.stdlib import BoundLogger

from events.envelope import Event
from infra.context import DeliveryContext
from infra.database import effects, job_runs, outbox
from infra.database.engine import Database
from infra.database.job_begins import Run
from infra.database.job_runs import Far
from infra.errors import LeaseLost
from infra.evidence import one_line
from infra.faults import failpoint
from infra.handlers import Mail
from infra.jobs.beating import Pulse
from infra.jobs.handlers import Stopped
from infra.jobs.kinds import Kind
from infra.jobs.results import Results

T = TypeVar("T")
#: Characters of a line for people.
LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a stint may go on."""

    #: Whether this process is on its way out.
    is_stopping: Callable[[], bool]
    #: Seconds after which a job is handed back, to go on in a new delivery.
    stint: float
    #: Seconds of work that a try has, in all of its stints.
    timeout: float


@dataclass(slots=True, kw_only=True)
class Working:
    """The `Job` of one stint; see `infra.jobs.handlers` for what its users may rely on."""

    kind: Kind
    run: Run
    context: DeliveryContext
    database: Database
    pulse: Pulse
    results: Results
    limits: Limits
    resume_state: Any = None
    #: Why it was told to end here, if it was.
    stopped: Stopped | None = None
    #: It was told that it is cancelled.
    knows_of_cancel: bool = False
    _begun: float = field(default_factory=time.monotonic)

    @property
    def id(self) -> str:
        """Its id."""
        return self.run.job_id

    @property
    def attempt(self) -> int:
        """The number of its try."""
        return self.context.attempt

    @property
    def requested_at(self) -> datetime:
        """When it was asked for."""
        return self.run.requested_at

    @property
    def seconds(self) -> float:
        """How long this stint has gone on."""
        return time.monotonic() - self._begun

    @property
    def log(self) -> BoundLogger:
        """A logger that says on each line which job of which kind."""
        logger: BoundLogger = structlog.get_logger(self.kind.name)
        return logger.bind(job_id=self.id, kind=self.kind.name)

    @property
    def mail(self) -> Mail:
        """The mails of this job."""
        return self.context.mail

    def progress(self, done: float, of: float = 1.0, text: str = "") -> None:
        """Say how far it is; the thread that beats writes it."""
        self.pulse.far = Far(_part(done, of), one_line(text)[:LONGEST_TEXT])
        self._go_on_or_stop()

    def checkpoint(self, state: Any) -> None:
        """Write down where to go on; committed together with others' work."""
        kept = _as_json(state)
        failpoint("job.before-checkpoint", self.kind.name)
        with _losing(self):
            self.pulse.is_cancelled |= self.database.run(lambda session: self._write(session, kept))
        self._committed(kept)

    @contextmanager
    def step(self, state: Any) -> Iterator[Session]:
        """A checkpoint in a transaction that others may write in."""
        self._go_on_or_stop()
        kept, published, intents = _as_json(state), len(self.context.published), len(self.context.intents)
        self.pulse.is_locked = True
        try:
            with _losing(self), self.database.transaction() as session:
                # First of all: from here on nobody can take the job over until the commit.
                self.pulse.is_cancelled |= self._take_note(session, kept, 0)
                yield session
                self.pulse.is_cancelled |= self._write(session, kept)
                failpoint("job.before-checkpoint", self.kind.name)
        except BaseException:
            del self.context.published[published:], self.context.intents[intents:]
            raise
        finally:
            self.pulse.is_locked = False
        self._committed(kept)

    def cancelled(self) -> bool:
        """Whether it is to be cancelled; from then on its result does not count."""
        self.knows_of_cancel |= self.pulse.is_cancelled
        return self.knows_of_cancel

    def publish(self, event: Event, at: datetime | None = None) -> str:
        """Add an event to the outbox."""
        return self.context.publish(event, at)

    def perform(self, effect: str, **arguments: Any) -> None:
        """Intend any effect."""
        self.context.perform(effect, **arguments)

    def provided(self, kind: type[T]) -> T:
        """What the program was given of this class."""
        return self.context.provided(kind)

    def file(self, name: str, media_type: str) -> AbstractContextManager[BinaryIO]:
        """Write a file of the result."""
        return self.results.file(name, media_type)

    def _write(self, session: Session, state: Any) -> bool:
        """All that a checkpoint commits; whether the job is to be cancelled. May be run a second time."""
        is_cancelled = self._take_note(session, state, len(self.context.intents))
        effects.intend(session, self.context.intents, self.run.owner, later=True)
        outbox.add_all(session, self.context.published)
        self.results.count(session, datetime.now(UTC))
        return is_cancelled

    def _take_note(self, session: Session, state: Any, intents: int) -> bool:
        intended = self.context.intended + intents
        return job_runs.checkpoint(session, self.run, state=state, effects=intended, far=self.pulse.far)

    def _committed(self, state: Any) -> None:
        self.context.intended += len(self.context.intents)
        self.context.intents.clear()
        self.context.published.clear()
        self.results.counted()
        self.resume_state = state
        failpoint("job.after-checkpoint", self.kind.name)
        self._go_on_or_stop()

    def _go_on_or_stop(self) -> None:
        if (reason := self._reason_to_stop()) is not None:
            self.stop(reason)
        if self.run.worked + self.seconds > self.limits.timeout:
            raise TimeoutError(f"The job has worked for longer than the {self.limits.timeout:g} s that a try has.")

    def stop(self, reason: str) -> None:
        """End here.

        Raises:
            Stopped: always.
        """
        self.stopped = Stopped(reason)
        raise self.stopped

    def _reason_to_stop(self) -> str | None:
        if self.pulse.is_lost:
            return Stopped.LOST
        if self.pulse.is_cancelled:
            return Stopped.CANCELLED
        if self.limits.is_stopping():
            return Stopped.STOPPING
        return Stopped.LONG if self.seconds > self.limits.stint else None


@contextmanager
def _losing(working: Working) -> Iterator[None]:
    try:
        yield
    except LeaseLost:
        working.stop(Stopped.LOST)


def _as_json(state: Any) -> Any:
    """As it will be read again.

    Raises:
        TypeError: it cannot be written as JSON.
    """
    try:
        return json.loads(json.dumps(state, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"The state of a checkpoint has to be JSON ({type(error).__name__}).") from None


def _part(done: float, of: float) -> float:
    part = done / of if of else 0.0
    return min(max(part, 0.0), 1.0) if math.isfinite(part) else 0.0
