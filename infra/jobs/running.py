"""One delivery of the request for a job: begun, worked on with no transaction open, and ended in the delivery's own."""

import inspect
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ValidationError
from sqlmodel import Session

from events.envelope import Envelope, announce
from events.jobs import JobEnded, JobRequested
from infra import commits, owners
from infra.calling import Calling
from infra.context import DeliveryContext
from infra.database import effects, job_begins, job_runs, outbox
from infra.database.engine import Database
from infra.database.inbox import Delivery
from infra.database.job_begins import LEASE, Held, Over, Request, Run
from infra.database.job_runs import Ended, Ending, Far
from infra.errors import DatabaseUnavailable, InvalidParameters, LeaseLost
from infra.evidence import text_of
from infra.faults import failpoint
from infra.handlers import Context
from infra.jobs.beating import INTERVAL, Beating, Pulse
from infra.jobs.handlers import Stopped
from infra.jobs.kinds import Kind, Runner
from infra.jobs.results import Results
from infra.jobs.working import Limits, Working

#: Seconds after which a job is handed back at its next look: half of what RabbitMQ waits for an acknowledgement.
STINT = 900.0
#: Seconds of a lease that are left, up to which its end is waited for in the shortest tier.
_SOON = 10.0
#: Seconds until the next look at a job that somebody else works on.
_SHORT, _LONG = 5, 30


class _Last(threading.local):
    """What a thread has worked on."""

    working: Working | None = None


class Running(Runner):
    """Does the jobs of one process."""

    def __init__(  # noqa: PLR0913  # what a test needs to be quick
        self,
        database: Database,
        results: Callable[[str], Results],
        *,
        owner: str | None = None,
        is_stopping: Callable[[], bool] = lambda: False,
        stint: float = STINT,
        interval: float = INTERVAL,
        lease: timedelta = LEASE,
    ) -> None:
        """Remember; `results` makes, for a job's id, what takes the files of a try."""
        self._database = database
        self._results = results
        self.owner = owner or owners.name()
        self._is_stopping = is_stopping
        self._stint = stint
        self._lease = lease
        self._beating = Beating(database, interval=interval, lease=lease)
        self._calling = Calling()
        #: Jobs that begin at the same time do so together.
        self._begins = partial(job_begins.begin, owner=self.owner, lease=lease)
        #: The last job of each thread: it is to follow when its try fails, which may be as late as in its end's commit.
        self._last = _Last()

    def run(self, kind: Kind, event: JobRequested, context: Context) -> None:
        """One delivery."""
        assert isinstance(context, DeliveryContext)
        self._last.working = None
        begun = self._begin(kind, event, context)
        failpoint("job.after-begin", kind.name)
        if isinstance(begun, Over):
            self._owe(context, begun.effects)
            return
        working = self._last.working = self._working(kind, begun, context)
        self._end(working, "cancelled" if begun.is_cancelled else self._work(working, event))

    def failed(self, session: Session, delivery: Delivery, error: str, retry_at: datetime | None) -> None:
        """Follow, in the transaction that writes it into the inbox, what became of a try that failed.

        Called by the thread that had it. What fails when the end is committed (a mail) finds the job no more at work.
        """
        working = self._last.working
        if working is None or (working.context.event_id, working.kind.name) != (delivery.event_id, delivery.consumer):
            return
        state = job_runs.fail(session, working.run, error=error, retry_at=retry_at, seconds=working.seconds)
        if state is not None and state != "retrying" and working.kind.announce:
            outbox.add_all(session, [(_ended(working, state), None)])

    def close(self) -> None:
        """End what runs beside the jobs, where it must not last as long as the process."""
        self._calling.close()

    def _begin(self, kind: Kind, event: JobRequested, context: DeliveryContext) -> Run | Over:
        request = Request(
            job_id=str(event.job_id),
            event_id=context.event_id,
            kind=kind.name,
            attempt=context.attempt,
            is_replay=context.is_replay,
        )
        begun = self._database.join(self._begins, request)
        if isinstance(begun, Held):
            delay = _SHORT if begun.seconds <= _SOON else _LONG
            raise commits.Postponed("Another worker has this job.", delay=delay)
        return begun

    def _working(self, kind: Kind, run: Run, context: DeliveryContext) -> Working:
        far = Far(run.progress, run.progress_text)
        context.intended = run.effects
        results = self._results(run.job_id)
        results.are_first = not run.has_files
        return Working(
            kind=kind,
            run=run,
            context=context,
            database=self._database,
            pulse=Pulse(run.job_id, run.owner, far=far, written=far),
            results=results,
            limits=Limits(is_stopping=self._is_stopping, stint=self._stint, timeout=kind.timeout),
            resume_state=run.checkpoint["state"] if run.checkpoint else None,
        )

    def _work(self, working: Working, event: JobRequested) -> Ending:
        """Call the function, and find out how it ended; what it raised comes out.

        Raises:
            GivenUp: the job is another worker's now.
            Postponed: it was handed back.
        """
        try:
            with self._beating.kept(working.pulse):
                value = self._call(working, _parameters(working.kind, event))
                if working.stopped is None and not working.knows_of_cancel:
                    working.results.main(value, working.kind)
        except BaseException as error:
            working.results.discard()
            if working.stopped is None:
                self._release_if_interrupted(working, error)
                raise
        if working.stopped is not None and working.stopped.reason != Stopped.CANCELLED:
            self._leave(working, working.stopped)
        return "cancelled" if working.stopped or working.knows_of_cancel else "succeeded"

    def _call(self, working: Working, parameters: BaseModel) -> Any:
        handler = working.kind.handler
        if not inspect.iscoroutinefunction(handler):
            return handler(parameters, working)
        return self._calling.wait_for(partial(handler, parameters, working))

    def _leave(self, working: Working, stopped: Stopped) -> NoReturn:
        """End without an end: somebody else has it, or goes on with it."""
        working.results.discard()
        if stopped.reason == Stopped.LOST:
            raise commits.GivenUp
        raise commits.Postponed(stopped.reason, delay=_SHORT, write=self._handing_back(working))

    def _handing_back(self, working: Working) -> Callable[[Session], None]:
        far, seconds = working.pulse.far, working.seconds
        return partial(job_runs.hand_back, run=working.run, far=far, seconds=seconds)

    def _release_if_interrupted(self, working: Working, error: BaseException) -> None:
        """By the end of this process: the broker brings it to the next one, which need not wait for the lease's end."""
        if self._is_stopping() and not isinstance(error, Exception):
            with suppress(DatabaseUnavailable):
                self._database.run(self._handing_back(working))

    def _end(self, working: Working, ending: Ending) -> None:
        """Have the delivery's commit write that it is over, and perform what checkpoints intended."""
        context = working.context
        failpoint("job.before-end", working.kind.name)
        if ending == "cancelled":
            working.results.discard()
            context.published.clear()
            context.intents.clear()
        if working.kind.announce:
            context.published.append((_ended(working, ending), None))
        far = working.pulse.far if ending == "cancelled" else Far(1.0, working.pulse.far.text)
        context.joint.append((_write_ends, (working, Ended(working.run, ending, far, working.seconds))))
        context.after_commit.append(working.results.counted)
        context.after_loss.append(working.results.discard)
        self._owe(context, context.intended)

    def _owe(self, context: DeliveryContext, intended: int) -> None:
        if intended:
            context.owed = effects.take(context.session, context.event_id, context.consumer, self.owner)


def _write_ends(session: Session, these: Sequence[tuple[Working, Ended]]) -> None:
    """Write that these are over.

    Raises:
        Overtaken: one of them is another worker's now, or nobody's.
    """
    try:
        job_runs.end(session, [ended for _, ended in these])
    except LeaseLost as error:
        raise commits.Overtaken from error
    now = datetime.now(UTC)
    for working, _ in these:
        working.results.count(session, now)
        failpoint("job.after-end", working.kind.name)


def _parameters(kind: Kind, event: JobRequested) -> BaseModel:
    """As the function wants them.

    Raises:
        InvalidParameters: they do not fit; it names the fields, and not what is in them.
    """
    try:
        return kind.parameters.model_validate_json(json.dumps(event.parameters))
    except ValidationError as error:
        raise InvalidParameters(text_of(error).removeprefix("ValidationError: ")) from None


def _ended(working: Working, state: Literal["succeeded", "failed", "cancelled"]) -> Envelope:
    event = JobEnded(job_id=working.id, kind=working.kind.name, state=state)
    cause = working.context.envelope
    return announce(event, source=f"/consumers/{working.kind.name}", cause=cause, traceparent=cause.traceparent)
