"""Where the files of results are kept: a store by its URL, at present a folder."""

import io
import os
import re
import secrets
import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from infra.errors import ConfigurationError, NotStored

#: What a key looks like: the day and the job, and chance, as each try has files of its own. A draft ends in `.part`.
_KEY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9a-f]{16}(\.part)?")
_DRAFT = ".part"
#: Bytes of a file that is kept in its key, as `data:` URLs have it: one of its own costs two more waits for the disk,
#: which is most of what a small job takes.
SMALL = 1_024
_WITH = ";base64,"


class Store(Protocol):
    """Keeps files by key; all of its methods may be called by any thread."""

    def put(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Write a file: it is there, whole and safe from a power loss, once the block has ended without an error."""

    def open(self, key: str) -> BinaryIO:
        """Read a file; whoever has it open reads it to its end, even when it is removed meanwhile.

        Raises:
            NotStored: there is none.
        """

    def remove(self, key: str) -> None:
        """Remove a file, if it is there."""

    def keys(self, before: datetime) -> Iterator[str]:
        """All that was written last before this moment, drafts that nobody finished among it."""


def new_key(job_id: str) -> str:
    """A key that no file has: of the day, so that a folder stays small, and with the job's id for those who look."""
    return f"{datetime.now(UTC):%Y-%m-%d}/{job_id}-{secrets.token_hex(8)}"


def key_with(job_id: str, content: bytes) -> str:
    """A key that no file has, with its content in it: no store has anything to keep or to remove. See `WithSmall`."""
    return f"{new_key(job_id)}{_WITH}{b64encode(content).decode()}"


def job_of(key: str) -> str:
    """The id of the job that a file belongs to."""
    return key.partition("/")[2][:36]


def store(url: str) -> Store:
    """The store at this URL; nothing is touched before its first use.

    Raises:
        ConfigurationError: there is no such kind of store.
    """
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
        raise ConfigurationError("TIDINGS_RESULTS_URL: use file:///folder; nothing else can keep results yet.")
    return WithSmall(Folder(Path(unquote(parts.path))))


class WithSmall:
    """A store, and beside it what is so small that its key holds it, which that store never sees."""

    def __init__(self, others: Store) -> None:
        self._others = others

    def put(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Write a file; what is small needs none."""
        return self._others.put(key)

    def open(self, key: str) -> BinaryIO:
        """Open either."""
        _, is_small, content = key.partition(_WITH)
        return io.BytesIO(b64decode(content)) if is_small else self._others.open(key)

    def remove(self, key: str) -> None:
        """Remove a file; what is small goes with its key."""
        if _WITH not in key:
            self._others.remove(key)

    def keys(self, before: datetime) -> Iterator[str]:
        """Of files: what is small is only where it is counted."""
        return self._others.keys(before)


class Folder:
    """A store in a folder, which the gateway and the workers share; only its owner can read what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def put(self, key: str) -> Iterator[BinaryIO]:
        """Write beside its place, and move it there when it is safe on disk."""
        path = self._path(key)
        draft = path.with_name(path.name + _DRAFT)
        self._make(path.parent)
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync(path.parent)

    def open(self, key: str) -> BinaryIO:
        """Open it for reading."""
        try:
            return self._path(key).open("rb")
        except FileNotFoundError:
            raise NotStored("This file is not in the store of results: is TIDINGS_RESULTS_URL the same?") from None

    def remove(self, key: str) -> None:
        """Remove it."""
        self._path(key).unlink(missing_ok=True)

    def keys(self, before: datetime) -> Iterator[str]:
        """By day, the oldest first; on the way the folders of days that are over and empty are removed."""
        for day in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            if day.name > f"{before:%Y-%m-%d}" or not day.is_dir():
                continue
            for path in sorted(day.iterdir()):
                key = f"{day.name}/{path.name}"
                if _KEY.fullmatch(key) and _written(path) < before.timestamp():
                    yield key
            with suppress(OSError):  # it is not empty
                day.rmdir()

    def _make(self, day: Path) -> None:
        for folder in (self.folder, day):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sync(folder.parent)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError("This is no key of a file of a result.")
        return self.folder / key


def copy(source: Path, into: BinaryIO) -> None:
    """Have a file in the store as well."""
    with source.open("rb") as file:
        shutil.copyfileobj(file, into, io.DEFAULT_BUFFER_SIZE * 32)


def _written(path: Path) -> float:
    """When it was written last; one that is being removed at this moment counts as new."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _sync(folder: Path) -> None:
    """What was made or renamed in a folder is safe once that is."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
