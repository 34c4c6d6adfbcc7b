"""Jobs in a test: asked for as operators do it, done by the real runner, and shown with all that became of them."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from pydantic import BaseModel
from sqlmodel import Session

from events.envelope import Envelope
from events.jobs import JobRequested
from infra.database import jobs
from infra.database.engine import Database
from infra.database.jobs import NewJob, Stored
from infra.jobs import cancelling, composing, finding, starting, storing
from infra.jobs.handlers import Job
from infra.jobs.working import Working
from infra.settings import Settings
from infra.testing import reading
from infra.testing.listening import Listening
from infra.testing.stage import Stage
from infra.testing.told_of_jobs import JobTold, meant

#: Who asks for the jobs of a test, and from where.
_WHO, _SOURCE = "operator", "/test"
#: Jobs that a test may look at.
_MOST = 1_000


class Workshop:
    """Where the jobs of a test are done."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._store = storing.store(settings.results)
        self.running = composing.running(database, settings, is_stopping=lambda: False)
        self.runner = Listening(self.running, self._cancel)

    def order(self, kind: str, parameters: Mapping[str, Any] | BaseModel) -> str:
        """Ask for a job; gives its id.

        Raises:
            NotKnown, NotPossible, DoesNotFit: as somebody who posts it would be told.
        """
        said = parameters.model_dump(mode="json") if isinstance(parameters, BaseModel) else parameters
        with self._database.transaction() as session:
            return starting.order(session, kind, said, source=_SOURCE, who=_WHO, why="").id

    def expect(self, session: Session, envelope: Envelope) -> None:
        """Have the row of a job whose request the test made by itself."""
        event = envelope.data
        if isinstance(event, JobRequested) and jobs.find(session, str(event.job_id)) is None:
            new = NewJob(
                id=str(event.job_id),
                kind=event.kind,
                parameters=event.parameters,
                unique_key=None,
                event_id=envelope.id,
                requested_by=_WHO,
            )
            jobs.add(session, new)

    def told(self, job_id: str, stage: Stage) -> JobTold:
        """All of one job.

        Raises:
            NotKnown: there is none with this id.
        """
        with self._database.reading() as session:
            found = finding.find(session, job_id)
            events = reading.events(session)
        return self._told(found, stage, events)

    def all(self, stage: Stage) -> list[JobTold]:
        """All jobs, the oldest first."""
        with self._database.reading() as session:
            rows = finding.page(session, finding.Filter(), before=None, limit=_MOST)
            events = reading.events(session)
        return [self._told(row, stage, events) for row in reversed(rows)]

    def close(self) -> None:
        """End what runs beside the jobs."""
        self.running.close()

    def _cancel(self, job: Job) -> None:
        with self._database.transaction() as session:
            cancelling.cancel(session, job.id, source=_SOURCE, who=_WHO, why="")
        if isinstance(job, Working):  # it hears of it at once, not when the thread beats that does not know our clock
            job.pulse.is_cancelled = True

    def _told(self, found: Stored, stage: Stage, events: Sequence[Envelope]) -> JobTold:
        job, account = found.job, self.runner.account(found.job.id)
        return JobTold(
            id=job.id,
            kind=job.kind,
            event_id=job.event_id,
            name=job.state,
            attempts=job.attempts,
            error=job.error,
            tries=[told for told in stage.told if (told.event_id, told.consumer) == (job.event_id, job.kind)],
            progress=account.progress,
            checkpoints=account.checkpoints,
            resumed=account.resumed,
            files={each.file_name: self._content(each) for each in found.files if each.file_key is not None},
            mails=[mail for mail in stage.mails if mail.event_id == job.event_id],
            effects=[each for each in stage.capturing.taken if each.event_id == job.event_id],
            published=[each for each in events if each.causation_id == job.event_id],
        )

    def _content(self, file: Any) -> Any:
        with closing(self._store.open(file.file_key)) as content:
            return meant(file.file_media_type, content.read())
