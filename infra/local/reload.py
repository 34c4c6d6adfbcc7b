"""Notices that somebody saved a file of ours (`up --reload`)."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from pathlib import Path

#: Where programs come from.
FOLDERS = ("consumers", "events", "gateway", "infra", "scheduler")
#: Seconds between two looks; a change is told when a further look finds all at rest.
_POLL = 0.3


async def changes(root: Path) -> AsyncIterator[list[str]]:
    """The files that were changed, added or removed, each time that some were, as paths below `root`."""
    before = _snapshot(root)
    while True:
        await asyncio.sleep(_POLL)
        now = _snapshot(root)
        while now != before and now != (latest := _snapshot(root)):
            now = latest
        if changed := sorted(str(path.relative_to(root)) for path, _ in now.items() ^ before.items()):
            before = now
            yield list(dict.fromkeys(changed))


def concerned(paths: Iterable[str], programs: Collection[str]) -> list[str]:
    """Those of the programs that use one of these files: what lies in the folder of one is nothing to the others."""
    folders = {path.partition("/")[0] for path in paths}
    own = set(programs)
    return [name for name in programs if name in folders or folders - own]


def _snapshot(root: Path) -> dict[Path, int]:
    """Modification time in nanoseconds by file; what Python itself writes, and the drafts of editors, do not count."""
    found = (path for folder in FOLDERS for path in (root / folder).rglob("*") if "__pycache__" not in path.parts)
    return {path: time for path in found if not _is_draft(path.name) and (time := _modified(path))}


def _is_draft(name: str) -> bool:
    return name.startswith(".") or name.endswith("~")


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns if path.is_file() else 0
    except OSError:
        return 0
