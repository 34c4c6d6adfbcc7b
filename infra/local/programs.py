"""Where the servers' programs lie on this machine: Debian's folders, Homebrew's, the usual ones."""

import shutil
from collections.abc import Iterator
from pathlib import Path

#: The machine's own root; another one is a folder that holds a whole system.
ROOT = Path("/")
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


#: Its mounts are seen by nobody else and go with the process, which is the command itself in the end: signals hit it.
_INSIDE = 'mount --bind /proc "$1/proc" && mount --bind "$2" "$1$2" && R=$1 && shift 2 && exec chroot "$R" "$@"'


def rabbitmq(name: str, root: Path = ROOT) -> Path | None:
    """A program of the RabbitMQ server in `root`, as it is called in there.

    Not Debian's wrapper in sbin, which changes the user.
    """
    return _first([root / "usr/lib/rabbitmq/bin"], name, root)


def epmd(root: Path = ROOT) -> Path | None:
    """Erlang's name server, which each node needs."""
    return _first(sorted((root / "usr/lib/erlang").glob("erts-*/bin"), reverse=True), "epmd", root)


def inside(root: Path, folder: Path, command: list[str]) -> list[str]:
    """The command line that runs a command in `root`, where `folder` lies at the same place as outside (Linux)."""
    if root == ROOT:
        return command
    (root / folder.relative_to("/")).mkdir(parents=True, exist_ok=True)
    namespace = ["unshare", "--mount", "--propagation", "private"]
    return [*namespace, "/bin/sh", "-c", _INSIDE, "sh", str(root), str(folder), *command]


def postgresql(name: str) -> Path | None:
    """A program of the newest installed PostgreSQL server."""
    return _first(sorted(_postgresql_folders(), key=_version, reverse=True), name)


def faketime() -> Path | None:
    """The library that gives a program the time that a file says (Linux), in the build for threads."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def chromium() -> Path | None:
    """The browser, under the name that a Linux distribution or a Mac gives it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((_first([], name) for name in names if _first([], name)), None)
    return found or next(iter(sorted(Path("/Applications").glob("Chromium.app/Contents/MacOS/Chromium"))), None)


def _postgresql_folders() -> Iterator[Path]:
    yield from Path("/usr/lib/postgresql").glob("*/bin")
    for prefix in ("/opt/homebrew/opt", "/usr/local/opt"):
        yield from Path(prefix).glob("postgresql@*/bin")


def _version(folder: Path) -> int:
    digits = folder.parent.name.rpartition("@")[2]
    return int(digits) if digits.isdigit() else 0


def _first(folders: list[Path], name: str, root: Path = ROOT) -> Path | None:
    everywhere = [*folders, *(root / folder.lstrip("/") for folder in FOLDERS)]
    found = shutil.which(name, path=":".join(map(str, everywhere)))
    return ROOT / Path(found).relative_to(root) if found else None
