"""Give out all that is kept about one user, as one JSON document."""

import os
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from infra.database.engine import Database
from infra.database.personal import Person
from infra.errors import NotKnown
from infra.jobs.kinds import Job, job
from infra.personal import drafts
from infra.personal.erasing import known
from infra.personal.exporting import Written, export
from infra.retrying import Retry
from infra.settings import Settings

#: Seconds between two checkpoints.
EVERY = 2.0


class ExportUser(BaseModel, extra="forbid"):
    """Of whom."""

    user_id: UUID


@job(
    "export-user",
    parameters=ExportUser,
    result="application/json",
    unique="join",
    concurrency=1,
    retry=Retry(Retry.never(NotKnown)),
    publishes=(),
)
def export_user(parameters: ExportUser, job: Job) -> Path:
    """Give out all that is kept about one user: account, events, mails, activity, dead letters, jobs, deeds."""
    user, database = str(parameters.user_id), job.provided(Database)
    with database.reading() as session:
        address = known(session, user, is_there=True)
    draft = drafts.path(job.provided(Settings).state_dir, job.id)
    written = Written(**job.resume_state) if job.resume_state else Written()
    with drafts.opened(draft, written.size) as file:
        if file.tell() == 0:
            written = Written()  # it went on elsewhere, where the draft is not
        last = time.monotonic()

        def tell(state: dict[str, Any], done: float) -> None:
            nonlocal last
            if time.monotonic() - last > EVERY:
                os.fsync(file.fileno())
                job.checkpoint(state)
                last = time.monotonic()
            job.progress(done, text=f"{sum(written.rows.values()):,} rows")

        export(database, Person(user, address, until=job.requested_at, job=job.id), file, written, tell)
    return draft
