"""Finishing: some hours after an erasure its subject is looked for once more, and then forgotten."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from infra.database import erasures
from infra.database.engine import Database
from infra.database.personal import Person
from infra.jobs.storing import Store
from infra.personal import drafts
from infra.personal.erasing import KIND, Erasing, Progress, overwrite


def finish(database: Database, store: Store, state_dir: Path, now: datetime) -> Iterator[int]:
    """Look once more for everybody who was erased some hours ago; gives how many rows that were, of each of them.

    This time the jobs that erased them, and the events that asked for these, forget whom they were about.
    """
    with database.reading() as session:
        due = erasures.due(session, now, kind=KIND)
    for one in due:
        assert one.subject is not None
        person = Person(one.subject, spared=erasures.announced(one.subject), kind=KIND, is_last=True)
        again = Erasing(database, store, person, step=lambda _: database.transaction(), tell=lambda _, __: None)
        progress = Progress(one.begun_at, one.address)
        again.erase(progress)
        drafts.remove(state_dir, progress.about(person))
        again.end()
        with database.transaction() as session:
            overwrite(session)
            erasures.end(session, one, kind=KIND)
        yield progress.rows.total()
