"""Where the servers' programs lie on this machine: Debian's folders, Homebrew's, the usual ones."""

import shutil
from collections.abc import Iterator
from pathlib import Path

#: Homebrew's on both kinds of Mac, then the system's; also what the servers find their own tools by.
FOLDERS = (
    "/opt/homebrew/sbin",
    "/opt/homebrew/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
)


def rabbitmq(name: str) -> Path | None:
    """A program of the installed RabbitMQ server; not Debian's wrapper in sbin, which changes the user."""
    return _first([Path("/usr/lib/rabbitmq/bin")], name)


def epmd() -> Path | None:
    """Erlang's name server, which each node needs."""
    return _first(sorted(Path("/usr/lib/erlang").glob("erts-*/bin"), reverse=True), "epmd")


def postgresql(name: str) -> Path | None:
    """A program of the newest installed PostgreSQL server."""
    return _first(sorted(_postgresql_folders(), key=_version, reverse=True), name)


def _postgresql_folders() -> Iterator[Path]:
    yield from Path("/usr/lib/postgresql").glob("*/bin")
    for prefix in ("/opt/homebrew/opt", "/usr/local/opt"):
        yield from Path(prefix).glob("postgresql@*/bin")


def _version(folder: Path) -> int:
    digits = folder.parent.name.rpartition("@")[2]
    return int(digits) if digits.isdigit() else 0


def _first(folders: list[Path], name: str) -> Path | None:
    found = shutil.which(name, path=":".join([*map(str, folders), *FOLDERS]))
    return Path(found) if found else None
