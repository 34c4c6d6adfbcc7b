"""Jobs as their rows say that they went, with the files that they made."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from sqlalchemy import delete, insert, select, update

from infra.database.engine import Database
from infra.database.job_tables import Job, JobFile
from infra.database.tables import table
from infra.jobs import storing
from infra.jobs.kinds import Kind
from infra.jobs.results import Results
from infra.jobs.storing import Folder
from tests.oldrows import id_of

ZERO, WEEK = timedelta(), timedelta(weeks=1)
#: Name, media type and content of a file.
File = tuple[str, str, bytes]


@dataclass
class Jobs:
    """Makes jobs in a database, and their files in a folder."""

    database: Database
    folder: Folder

    def made(
        self, state: str = "succeeded", *files: File, age: timedelta = ZERO, kept: timedelta = WEEK, **other: Any
    ) -> str:
        """One that came into this state so long ago; its files are kept from then on. Gives its id."""
        now, is_over = datetime.now(UTC) - age, state in {"succeeded", "failed", "cancelled"}
        job_id = id_of(age, uuid4().int >> 70)
        row = {"id": job_id, "kind": "report", "state": state, "parameters": {}, "event_id": str(uuid4())}
        figures = {"progress": 0.0, "progress_text": "", "attempts": 1, "effects": 0, "worked": 0.0}
        times = {"created_at": now, "updated_at": now, "finished_at": now if is_over else None}
        results = Results(self.folder, job_id, kept)
        for name, media_type, content in files:
            with results.file(name, media_type) as file:
                file.write(content)
        with self.database.transaction() as session:
            session.connection().execute(insert(table(Job)), row | {"requested_by": "me"} | figures | times | other)
            results.count(session, now)
        results.counted()
        return job_id

    def small(self, content: str, age: timedelta = ZERO, kept: timedelta = WEEK) -> str:
        """One whose function gave so little that it is in the file's row. Gives its id."""
        results = Results(self.folder, job_id := self.made("succeeded", age=age), kept)
        results.main(content, Kind("report", print, BaseModel, "text/csv"))
        with self.database.transaction() as session:
            results.count(session, datetime.now(UTC) - age)
        return job_id

    def change(self, job_id: str, **values: Any) -> None:
        """What its worker would write."""
        job = table(Job)
        with self.database.transaction() as session:
            statement = update(job).where(job.c.id == job_id).values(updated_at=datetime.now(UTC), **values)
            session.connection().execute(statement)

    def erase(self) -> None:
        """All of them, as if there had never been any."""
        with self.database.transaction() as session:
            session.connection().execute(delete(table(Job)))

    def stray(self, job_id: str, age: timedelta) -> None:
        """A file that was written so long ago, and that no row counts."""
        written = datetime.now(UTC) - age
        key = f"{written:%Y-%m-%d}{storing.new_key(job_id)[10:]}"
        with self.folder.put(key):
            pass
        os.utime(self.folder.folder / key, (written.timestamp(),) * 2)

    def stored(self) -> list[str | None]:
        """Where the store is said to have files."""
        file = table(JobFile)
        with self.database.reading() as session:
            return list(session.connection().execute(select(file.c.key).order_by(file.c.job_id)).scalars())

    def ids(self) -> set[str]:
        with self.database.reading() as session:
            return set(session.connection().execute(select(table(Job).c.id)).scalars())

    def on_disk(self) -> int:
        """How many files there are."""
        return sum(path.is_file() for path in self.folder.folder.rglob("*"))
