"""Drafts of exports: files beside the database, which go on after a crash where they were safe on disk."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from events.attributes import lowest_id
from infra.database.personal import Person
from infra.personal.searching import names

#: Seconds after which a draft is nobody's: its job has failed, or goes on on another machine.
_OLD = 86_400.0


def path(state_dir: Path, job_id: str) -> Path:
    """Where the draft of a job is; those that nobody needs any more go."""
    folder = state_dir / "exports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in folder.glob("*.json"):
        with suppress(FileNotFoundError):
            if each.stat().st_mtime < time.time() - _OLD:
                each.unlink()
    return folder / f"{job_id}.json"


@contextmanager
def opened(draft: Path, size: int) -> Iterator[BinaryIO]:
    """A draft at the end of what is safe of it; from its beginning if there is less of it."""
    with os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(size if size <= end else 0)
        file.truncate()
        yield file


def remove(state_dir: Path, person: Person) -> int:
    """Remove the drafts that name somebody; gives how many.

    By their address only those of jobs that were asked for when it was theirs: ids begin with their time.
    """
    removed, nameless = 0, replace(person, address=None)
    first_of_others = "" if person.until is None else lowest_id(person.until)
    for each in (state_dir / "exports").glob("*.json"):
        with suppress(FileNotFoundError):
            with each.open("rb") as file:
                is_theirs = names(file, person if each.stem < first_of_others else nameless)
            if is_theirs:
                each.unlink()
                removed += 1
    return removed
