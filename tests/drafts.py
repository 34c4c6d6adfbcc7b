"""A source tree to write new consumers into, and the checks that what was written has to pass."""

import shutil
import subprocess
import sys
from pathlib import Path

from infra.adding import writing
from infra.adding.wishes import Wish, chosen

ROOT = Path(__file__).parents[1]


def tree(folder: Path) -> Path:
    """Our packages, as one has them in a clone; the consumers are a copy, so that more can be added."""
    for package in ("events", "infra", "gateway", "scheduler"):
        (folder / package).symlink_to(ROOT / package)
    shutil.copytree(ROOT / "consumers", folder / "consumers", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests" / "consumers").mkdir(parents=True)
    return folder


def wish(name: str, *types: str, is_async: bool = False, is_batch: bool = False, is_ordered: bool = False) -> Wish:
    """A consumer of these types, or of all."""
    return Wish(name, chosen(types, is_all=not types), is_async, is_batch, is_ordered)


def kind(name: str, *, is_async: bool = False) -> Wish:
    """A kind of jobs."""
    return Wish(name, None, is_async, is_job=True)


def write(root: Path, *wishes: Wish) -> list[str]:
    """Write these consumers; gives the paths of their files."""
    written = []
    for each in wishes:
        texts = writing.files(each, root)
        writing.write(texts)
        written += [str(path.relative_to(root)) for path in texts]
    return written


def said(root: Path, *arguments: str) -> str:
    """What a tool of the development says of the tree when it is not content; empty if it is."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=root, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr
