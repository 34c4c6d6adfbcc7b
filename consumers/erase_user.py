"""Erase all that is kept about one user."""

from datetime import UTC, datetime
from uuid import UUID

from pydantic import BaseModel

from events.users import UserErased
from infra.database import erasures, jobs
from infra.database.engine import Database
from infra.database.personal import Person
from infra.errors import NotKnown
from infra.jobs import storing
from infra.jobs.kinds import Job, job
from infra.personal import drafts
from infra.personal.erasing import AGAIN, KIND, Erasing, Progress, beginning, overwrite
from infra.personal.receipts import STAYS, Receipt
from infra.retrying import Retry
from infra.settings import Settings

#: Seconds of work of one try.
LONGEST = 14_400.0


class EraseUser(BaseModel, extra="forbid"):
    """Whom."""

    user_id: UUID


@job(
    KIND,
    parameters=EraseUser,
    result=Receipt,
    unique="join",
    concurrency=1,
    timeout=LONGEST,
    retry=Retry(Retry.never(NotKnown)),
    publishes=UserErased,
)
def erase(parameters: EraseUser, job: Job) -> Receipt:
    """Erase all that is kept about one user, for good, and leave a receipt that says what was erased where."""
    user, database = str(parameters.user_id), job.provided(Database)
    with database.reading() as session:
        stored, before = jobs.find(session, job.id), erasures.find(session, user)
        assert stored is not None
        progress = beginning(session, user) if job.resume_state is None else Progress.read(job.resume_state)
    # Until this one tells others, what an earlier one told holds: this one may never come to it.
    told = [before.announced] if before is not None and before.announced is not None else []
    person = Person(user, spared=[stored.job.event_id, *told], job=job.id, kind=KIND)
    settings = job.provided(Settings)
    store = storing.store(settings.results)
    if progress.announced is None:
        erasing = Erasing(database, store, person, step=job.step, tell=lambda done, text: job.progress(done, text=text))
        if progress.place == 0:
            erasing.begin(progress)
        erasing.erase(progress)
        drafts.remove(settings.state_dir, progress.about(person))
        _announce(user, progress, job)
        erasing.end()
        job.progress(1, text=f"{progress.rows.total():,} rows erased")
    return _receipt(user, progress, stored.job.requested_by)


def _announce(user: str, progress: Progress, job: Job) -> None:
    """Tell others, in the commit that says that it is done here."""
    address = progress.address if progress.left else None  # the later pass is to find what was left to it
    progress.announced, progress.address = job.publish(UserErased(user_id=UUID(user))), None
    with job.step(progress.written()) as session:
        overwrite(session)
        erasures.announce(session, user, progress.announced, datetime.now(UTC) + AGAIN, address)


def _receipt(user: str, progress: Progress, requested_by: str) -> Receipt:
    now = datetime.now(UTC)
    return Receipt(
        subject=erasures.key_of(user),
        requested_by=requested_by,
        begun_at=progress.begun_at,
        ended_at=now,
        erased=dict(sorted(progress.rows.items())),
        nothing_was_left=not progress.rows,
        looked_again_at=now + AGAIN,
        stays=list(STAYS),
    )
