"""A file of a job's result, for whoever may read the store: found by its name, and written where it is wanted."""

import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Row

from infra.commands import Misused
from infra.errors import Gone, NotKnown, NotPossible
from infra.jobs.finding import Stored
from infra.jobs.storing import Store

#: What can be shown on a terminal, beside `text/…`.
_READABLE = ("json", "xml", "yaml", "csv")


def file_of(found: Stored, name: str | None) -> Row[Any]:
    """The file of this name, or the main one.

    Raises:
        NotPossible: the job has not succeeded.
        NotKnown: there is no such file.
        Gone: it is kept no longer.
    """
    if found.job.state != "succeeded":
        raise NotPossible(_unfinished(found.job))
    chosen = [each for each in found.files if name in {None, each.file_name}]
    if not chosen:
        raise NotKnown(_missing(found.files, name))
    file, until = chosen[0], chosen[0].file_expires_at
    if until is not None and until <= datetime.now(UTC):  # its file may be there until the next cleaning
        raise Gone(f"{file.file_name} expired at {until:%Y-%m-%d %H:%M:%S}Z: run it again.")
    if file.file_key is None:
        raise Gone("This file held data of somebody who was erased, so it is kept no more: run it again.")
    return file


def spill(store: Store, file: Row[Any]) -> None:
    """Write it to the standard output, unless that is a terminal which it would put out of order.

    Raises:
        Misused: it would.
        NotStored: the store has no such file.
    """
    if sys.stdout.isatty() and not _is_readable(file.file_media_type):
        raise Misused(
            f"{file.file_name} is {file.file_media_type}, which is nothing for a terminal: use --output FILE."
        )
    with store.open(file.file_key) as content:
        try:
            _copy(content, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # who reads has read enough; Python flushes once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def save(store: Store, file: Row[Any], path: Path) -> None:
    """Write it to a file, which is there when it is whole.

    Raises:
        Misused: it cannot be written there.
        NotStored: the store has no such file.
    """
    draft = path.with_name(f".{path.name}.part")
    with store.open(file.file_key) as content:
        try:
            with draft.open("wb") as into:
                _copy(content, into)
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise Misused(f"{path} cannot be written: {error.strerror}.") from None


def _copy(content: BinaryIO, into: BinaryIO) -> None:
    shutil.copyfileobj(content, into)


def _is_readable(media_type: str) -> bool:
    return media_type.startswith("text/") or any(word in media_type for word in _READABLE)


def _unfinished(job: Row[Any]) -> str:
    if job.state in {"failed", "cancelled"}:
        return (
            f"This job has no result: it {'was cancelled' if job.state == 'cancelled' else 'failed'}. {job.error or ''}"
        )
    return f"This job is {job.state} ({job.progress:.0%}), so there is no result yet: ./tidings jobs show {job.id}"


def _missing(files: Sequence[Row[Any]], name: str | None) -> str:
    if not files:
        return "This job has no files: its kind gives none, or it did not make one."
    return f"This job has no file {name!r}, but {', '.join(each.file_name for each in files)}."
