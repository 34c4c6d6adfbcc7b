"""The files of one try of a job: written to the store as the work goes on, and counted by rows in its commits."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from mimetypes import MimeTypes
from pathlib import Path
from typing import Any, BinaryIO, cast

import structlog
from pydantic import BaseModel, ValidationError
from sqlmodel import Session

from infra.database import job_files
from infra.database.job_tables import JobFile
from infra.errors import UnfitResult
from infra.jobs import storing
from infra.jobs.kinds import Kind, is_media_type
from infra.jobs.storing import Store
from infra.retention import FOREVER

JSON = "application/json"
#: What a file may be called: on every system, and in a header.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ ()+-]{0,99}")
#: Python's own table, not the machine's: a file is called the same everywhere.
_TYPES = MimeTypes()
_log = structlog.get_logger(__name__)


class Results:
    """What one try has written; used by one thread at a time."""

    def __init__(self, store: Store, job_id: str, kept: timedelta) -> None:
        """Begin; the files are kept for so long from the moment that they are counted."""
        self._store = store
        self._job_id = job_id
        self._kept = kept
        #: Behind that of the main file.
        self._ordinals = count(job_files.MAIN + 1)
        #: The job has none that are counted yet.
        self.are_first = False
        #: Not counted yet, by name.
        self._files: dict[str, JobFile] = {}
        #: Keys of which rows were written: who hears nothing of the commit does not know whether they count.
        self._maybe: set[str] = set()
        #: Files of the function's own, which it gave away.
        self._given: list[Path] = []

    @contextmanager
    def file(self, name: str, media_type: str) -> Iterator[BinaryIO]:
        """Write a file of the result, in place of one of the same name; it counts with the next commit.

        Raises:
            UnfitResult: it cannot be called so.
        """
        if not _NAME.fullmatch(name) or not is_media_type(media_type):
            raise UnfitResult("A file of a result needs a plain name and a media type, as in 'report.csv', 'text/csv'.")
        with self._write(next(self._ordinals), name, media_type) as file:
            yield file

    def main(self, value: Any, kind: Kind) -> None:
        """Keep what the function returned as the main file; None is nothing.

        Raises:
            UnfitResult: it is not what the kind says.
        """
        if value is None:
            return
        media_type, content = _content(value, kind)
        name = f"{kind.name}{_suffix(media_type)}"
        if isinstance(content, bytes) and len(content) <= storing.SMALL:
            self._keep(job_files.MAIN, name, media_type, storing.key_with(self._job_id, content), _measured(content))
            return
        with self._write(job_files.MAIN, name, media_type) as file:
            if isinstance(content, Path):
                storing.copy(content, file)
                self._given.append(content)
            else:
                file.write(content)

    def count(self, session: Session, now: datetime) -> None:
        """Write the rows of what is not counted yet, in the transaction of a checkpoint or of the end."""
        until = None if self._kept == FOREVER else now + self._kept
        files = sorted(self._files.values(), key=lambda file: file.ordinal)
        for file in files:
            file.created_at, file.expires_at = now, until
        job_files.add(session, self._job_id, files, are_first=self.are_first and not self._maybe)
        self._maybe.update(str(file.key) for file in files)

    def counted(self) -> None:
        """That transaction is committed: what it counted stays, whatever becomes of this try."""
        for path in self._given:
            with suppress(OSError):  # which is no reason to do the job again
                path.unlink()
        self._given.clear()
        self.are_first = self.are_first and not self._files
        self._files.clear()
        self._maybe.clear()

    def discard(self) -> None:
        """Remove what was surely not counted: the try is over and has failed, or goes on elsewhere.

        What may have been counted is left to the cleaning, which looks at the rows.
        """
        for file in self._files.values():
            self._remove(file)
        self._files.clear()

    def _remove(self, file: JobFile) -> None:
        if file.key in self._maybe:
            return
        try:
            self._store.remove(str(file.key))
        except OSError as error:  # the cleaning finds it, and nothing must fail because of it
            _log.warning("a file that no job needs stays for now", job=self._job_id, reason=error.strerror)

    @contextmanager
    def _write(self, ordinal: int, name: str, media_type: str) -> Iterator[BinaryIO]:
        key = storing.new_key(self._job_id)
        with self._store.put(key) as file:
            counted = _Counted(file)
            yield cast("BinaryIO", counted)  # typeshed's io classes are no subclasses of it
            counted.close()
        self._keep(ordinal, name, media_type, key, counted)

    def _keep(self, ordinal: int, name: str, media_type: str, key: str, counted: "_Counted") -> None:
        if (replaced := self._files.pop(name, None)) is not None:
            self._remove(replaced)
        self._files[name] = JobFile(
            job_id=self._job_id,
            ordinal=ordinal,
            name=name,
            media_type=media_type,
            key=key,
            size=counted.size,
            digest=counted.digest.hexdigest(),
            created_at=datetime.now(UTC),
        )


class _Counted(io.BufferedIOBase):
    """A file that is written from its beginning to its end, measured on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.digest = sha256()

    def writable(self) -> bool:
        """Yes; and it is neither read nor gone back in."""
        return True

    def write(self, data: Any) -> int:
        """Pass on and count."""
        if self.closed:
            raise ValueError("This file of a result is closed.")
        self.digest.update(data)
        written = self._file.write(data)
        self.size += written
        return written

    def tell(self) -> int:
        """Where it is: at its end."""
        return self.size


def _measured(content: bytes) -> _Counted:
    counted = _Counted(io.BytesIO())
    counted.write(content)
    return counted


def _content(value: Any, kind: Kind) -> tuple[str, bytes | Path]:
    """Media type and content of what a function returned."""
    if isinstance(kind.result, type):
        return JSON, _as_json(value, kind.result, kind.name)
    if kind.result is None:
        raise UnfitResult(f"{kind.name}: its function gives something, but @job(result=…) does not say what.")
    if isinstance(value, str):
        return kind.result, value.encode()
    if isinstance(value, bytes | bytearray | memoryview | Path):
        return kind.result, value if isinstance(value, Path) else bytes(value)
    raise UnfitResult(f"{kind.name}: its function gives neither text, bytes nor a Path, as {kind.result} has to be.")


def _as_json(value: Any, model: type[BaseModel], name: str) -> bytes:
    try:
        return model.model_validate(value).model_dump_json().encode()
    except ValidationError:  # its text would quote the value
        raise UnfitResult(f"{name}: what its function gives is no {model.__name__}.") from None


def _suffix(media_type: str) -> str:
    return _TYPES.guess_extension(media_type.partition(";")[0].strip()) or ".bin"
