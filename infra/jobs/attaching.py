"""Mails that have files of a job's result with them: the intent names the file, the store gives it when it is sent."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from infra.database import job_files
from infra.database.engine import Database
from infra.database.job_tables import JobFile
from infra.errors import EffectFailed, EffectRefused, NotStored
from infra.jobs.handlers import Job
from infra.jobs.storing import Store
from infra.mime import Attachment

#: Bytes of a file. Many mail servers take 10 MB, of which a third is the encoding's; and a slow line has 10 s for it.
LARGEST = 2_000_000


def send(job: Job, template: str, /, *, to: str, files: Sequence[str], **values: Any) -> None:
    """Intend a mail that has these files of the job's own result with it; each `LARGEST` bytes at most."""
    named = [{"job": job.id, "name": name} for name in files]
    job.perform("mail", template=template, to=to, values=values, files=named)


class Attachments:
    """Fetches what mails have with them; one for all threads of a program."""

    def __init__(self, database: Database, store: Store) -> None:
        self._database = database
        self._store = store

    def fetch(self, reference: Mapping[str, str]) -> Attachment:
        """The file of this job and name.

        Raises:
            EffectRefused: it is kept no more, or is too large.
            EffectFailed: it cannot be read now.
        """
        file = self._find(reference["job"], reference["name"])
        if file is None or file.key is None or (file.expires_at is not None and file.expires_at <= datetime.now(UTC)):
            raise EffectRefused(f"A file that goes with the mail is kept no more: {reference['name']}.")
        if file.size > LARGEST:
            raise EffectRefused(f"A file that goes with the mail has {file.size:,} bytes, more than {LARGEST:,}.")
        try:
            with self._store.open(file.key) as content:
                return Attachment(file.name, file.media_type, content.read())
        except (NotStored, OSError) as error:
            raise EffectFailed(f"A file that goes with the mail cannot be read: {error}.") from error

    def _find(self, job_id: str, name: str) -> JobFile | None:
        with self._database.reading() as session:
            return next((file for file in job_files.of(session, job_id) if file.name == name), None)
