"""The functions of jobs in a test: what they say is written down, and they end where the test wants them to."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Literal, cast

from sqlmodel import Session

from events.jobs import JobRequested
from infra.handlers import Context
from infra.jobs.handlers import Job, JobHandler
from infra.jobs.kinds import Kind, Runner

Turn = Literal["crash", "cancel"]
#: Told which job is to be cancelled.
Cancel = Callable[[Job], None]


class Crashed(SystemExit):
    """Stands for the death of the process: whatever it was about to do, nothing of that is written."""


class _CrashedInLoop(Exception):
    """The same on its way out of an event loop, which any other way would end."""


@dataclass(slots=True)
class Account:
    """What the function of one job said, in all its tries."""

    #: How far it was, 0 to 1, and its text.
    progress: list[tuple[float, str]] = field(default_factory=list)
    #: The states of its checkpoints.
    checkpoints: list[Any] = field(default_factory=list)
    #: What it was given as `resume_state` each time that it began.
    resumed: list[Any] = field(default_factory=list)


class Listening(Runner):
    """The real runner, with functions that are listened to."""

    def __init__(self, running: Runner, cancel: Cancel) -> None:
        self._running = running
        self._cancel = cancel
        #: By the job's id.
        self._accounts: dict[str, Account] = {}
        #: What happens next, and after how many checkpoints.
        self._turn: tuple[Turn, int] | None = None

    def account(self, job_id: str) -> Account:
        """Of this job."""
        return self._accounts.setdefault(job_id, Account())

    def plan(self, turn: Turn, after_checkpoint: int) -> None:
        """Have this happen to the job that works next, once it has written so many checkpoints."""
        self._turn = turn, after_checkpoint

    def run(self, kind: Kind, event: JobRequested, context: Context) -> None:
        """One delivery of the request for a job."""
        try:
            self._running.run(replace(kind, handler=self._heard(kind.handler)), event, context)
        except _CrashedInLoop as crash:
            raise Crashed(str(crash)) from None

    def _heard(self, handler: JobHandler) -> JobHandler:
        """The function, given a job that is listened to."""
        if inspect.iscoroutinefunction(handler):

            @wraps(handler)
            async def heard_later(parameters: Any, job: Job) -> Any:
                try:
                    return await handler(parameters, self._begun(job))
                except Crashed as crash:
                    raise _CrashedInLoop(str(crash)) from None

            return heard_later

        @wraps(handler)
        def heard(parameters: Any, job: Job) -> Any:
            return handler(parameters, self._begun(job))

        return heard

    def _begun(self, job: Job) -> Job:
        account = self.account(job.id)
        account.resumed.append(job.resume_state)
        self._passed(job, checkpoints=0)
        return cast("Job", _Heard(job, account, self._passed))

    def _passed(self, job: Job, checkpoints: int = 1) -> None:
        """Count, and let happen what is to happen here."""
        if self._turn is None:
            return
        turn, left = self._turn
        self._turn = turn, left - checkpoints
        if left - checkpoints > 0:
            return
        self._turn = None
        if turn == "crash":
            raise Crashed("The test lets the process die here.")
        self._cancel(job)


class _Heard:
    """A job as its function has it; what it says is written down."""

    def __init__(self, job: Job, account: Account, passed: Callable[[Job], None]) -> None:
        self._job = job
        self._account = account
        self._passed = passed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def progress(self, done: float, of: float = 1.0, text: str = "") -> None:
        self._account.progress.append((done / of if of else 0.0, text))
        self._job.progress(done, of, text)

    def checkpoint(self, state: Any) -> None:
        self._job.checkpoint(state)
        self._written(state)

    @contextmanager
    def step(self, state: Any) -> Iterator[Session]:
        with self._job.step(state) as session:
            yield session
        self._written(state)

    def _written(self, state: Any) -> None:
        self._account.checkpoints.append(state)
        self._passed(self._job)
